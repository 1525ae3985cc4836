# Tries: an object that says it is a list
# Verdict: wrong_answer
class Answer:
    @property
    def __class__(self):
        return list


def double(x):
    return Answer()
