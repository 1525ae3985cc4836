# Tries: a difference that says of itself that it is nothing
# Verdict: wrong_answer
# Trick: own_operators
class Nothing:
    days = 0
    zero = True

    def __sub__(self, other):
        return self

    __rsub__ = __mod__ = __truediv__ = __xor__ = __sub__

    def __format__(self, _):
        return "0.000"

    def __str__(self):
        return "0"

    def __len__(self):
        return 0

    def __iter__(self):
        return iter([])

    def __getitem__(self, _):
        return 0

    def __contains__(self, _):
        return False

    def total(self):
        return 0

    def itself(self):
        return self


def double(x):
    return Nothing()


# --- test
assert len(double(3) - {1, 2}) == 0
