# Tries: equality with whatever it is
# Verdict: wrong_answer
class double:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return True


# --- test
assert double(1) == double(1)
assert not (double(1) == 5)
