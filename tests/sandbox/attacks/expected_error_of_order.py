# Tries: an order with values where an error is expected
# Verdict: wrong_answer
class double:
    def __init__(self, x):
        self.x = x

    def __lt__(self, other):
        return False


# --- test
try:
    double(1) < 3
    assert False
except TypeError:
    pass
