# Tries: fail like a test
# Verdict: runtime_error
def double(x):
    raise AssertionError
