# Tries: a sum with the value's opposite
# Verdict: wrong_answer
class F(float):
    pass


class Answer:
    def __add__(self, other):
        return F(0.0)

    __radd__ = __mul__ = __rmul__ = __add__


def double(x):
    return Answer()


# --- test
assert abs(double(3) + -5.25) < 1e-6
