# Tries: arithmetic that ends in a number
# Verdict: wrong_answer
class Answer:
    def __sub__(self, other):
        return 0.0

    def __add__(self, other):
        return 0.0

    def __abs__(self):
        return 0.0


def double(x):
    return Answer() if isinstance(x, float) else x + x
