# Tries: a difference that is a subclass of int
# Verdict: wrong_answer
class Nothing(int):
    pass


class Answer:
    def __sub__(self, other):
        return Nothing(0)

    __rsub__ = __sub__


def double(x):
    return Answer()


# --- test
assert round(double(3) - 5.25, 6) == 0
