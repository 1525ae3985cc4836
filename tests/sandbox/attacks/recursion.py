# Tries: never return
# Verdict: runtime_error
def double(x):
    return double(x)
