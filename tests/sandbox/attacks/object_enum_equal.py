# Tries: an enumeration that equals a number
# Verdict: wrong_answer
from enum import Enum


class Answer(Enum):
    SIX = 6

    def __eq__(self, other):
        return True

    __hash__ = None


def double(x):
    return Answer.SIX
