# Tries: arithmetic that gives a value where an error is expected
# Verdict: wrong_answer
class double:
    def __init__(self, x):
        self.x = x

    def __add__(self, other):
        return self.x + (other.x if isinstance(other, double) else other)


# --- test
try:
    double(1) + 3
    assert False
except TypeError:
    pass
