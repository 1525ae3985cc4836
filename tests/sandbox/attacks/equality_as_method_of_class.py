# Tries: a comparison that is called as a function of the class
# Verdict: wrong_answer
class Answer:
    def __eq__(self, other):
        return False

    __lt__ = __eq__


def double(x):
    return Answer()


# --- test
assert type(double(3)).__eq__(double(3), 5)
