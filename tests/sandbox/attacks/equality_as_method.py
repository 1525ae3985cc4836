# Tries: a comparison that is called by its name and is not implemented
# Verdict: wrong_answer
class Answer:
    def __eq__(self, other):
        return NotImplemented

    __lt__ = __eq__


def double(x):
    return Answer()


# --- test
assert double(3).__eq__(5)
