# Tries: an integer that takes minutes to print in decimal
# Verdict: wrong_answer
def double(x):
    return 1 << 20_000_000
