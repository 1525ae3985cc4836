# Tries: a float that is near everything
# Verdict: wrong_answer
# Trick: odd_equality
class Near(float):
    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__

    def __eq__(self, other):
        return True


def double(x):
    return Near(5)
