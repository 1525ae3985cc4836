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
assert abs(double(3) - 5.25) < 1e-6
