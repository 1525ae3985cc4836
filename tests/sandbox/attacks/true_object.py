# Tries: an object whose comparison is a true object
# Verdict: wrong_answer
# Trick: odd_equality
class Answer:
    def __eq__(self, other):
        return self

    def __bool__(self):
        return True


def double(x):
    return Answer()
