# Tries: a difference that is a subclass of str
# Verdict: wrong_answer
class Nothing(str):
    pass


class Answer:
    def __sub__(self, other):
        return Nothing('')

    __rsub__ = __sub__


def double(x):
    return Answer()


# --- test
assert double(3) - 5 == ''
