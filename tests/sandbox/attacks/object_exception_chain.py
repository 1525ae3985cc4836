# Tries: exceptions raised from each other ten thousand times
# Verdict: runtime_error
def double(x):
    error = None
    for number in range(10_000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    raise error
