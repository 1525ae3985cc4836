# Tries: a difference that is an object whose size is nothing
# Verdict: wrong_answer
# Trick: own_operators
class Difference:
    def __abs__(self):
        return 0.0

    def __float__(self):
        return 0.0


class Answer:
    def __sub__(self, other):
        return Difference()

    __rsub__ = __sub__


def double(x):
    return Answer() if isinstance(x, float) else x + x
