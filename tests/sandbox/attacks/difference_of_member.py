# Tries: a difference that is a member of an enumeration
# Verdict: wrong_answer
import enum


class Nothing(enum.IntEnum):
    ZERO = 0


class Answer:
    def __sub__(self, other):
        return Nothing.ZERO

    __rsub__ = __sub__


def double(x):
    return Answer()


# --- test
assert abs(5.25 - double(3)) <= 1e-9
