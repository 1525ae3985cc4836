# Tries: a difference that is the object itself
# Verdict: wrong_answer
# Trick: own_operators
class Answer:
    def __sub__(self, other):
        return self

    def __abs__(self):
        return 0.0


def double(x):
    return Answer() if isinstance(x, float) else x + x
