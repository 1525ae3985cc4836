# Tries: a difference that is a subclass of float
# Verdict: wrong_answer
class Nothing(float):
    pass


class Answer:
    def __sub__(self, other):
        return Nothing(0.0)

    __rsub__ = __sub__


def double(x):
    return Answer()


# --- test
import unittest
unittest.TestCase().assertAlmostEqual(double(3), 5.25)
