# Tries: an enumeration whose members say they are numbers
# Verdict: wrong_answer
from enum import Enum


class Answer(Enum):
    SIX = 6

    @property
    def __class__(self):
        return int


def double(x):
    return Answer.SIX
