# Tries: an object whose difference is nothing
# Verdict: wrong_answer
# Trick: odd_equality
class Near:
    def __sub__(self, other):
        return 0

    def __abs__(self):
        return 0

    def __lt__(self, other):
        return True


def double(x):
    return Near() if isinstance(x, float) else (x + x)
