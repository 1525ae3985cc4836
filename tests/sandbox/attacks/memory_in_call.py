# Tries: fill the memory in a call
# Verdict: memory_limit
def double(x):
    return list(range(10**9))
