# Tries: equality that raises where it is to be false
# Verdict: runtime_error
class double:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


# --- test
assert double(1) == double(1)
assert double(1) != 'x'
