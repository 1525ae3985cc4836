# Tries: one instruction that takes hours
# Verdict: time_limit
def double(x):
    return 3 ** (10**9)
