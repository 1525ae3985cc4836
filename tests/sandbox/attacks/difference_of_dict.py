# Tries: a difference that is a subclass of dict
# Verdict: wrong_answer
class Nothing(dict):
    pass


class Answer:
    def __sub__(self, other):
        return Nothing(())

    __rsub__ = __sub__


def double(x):
    return Answer()


# --- test
assert double(3) - {'a': 1} == {}
