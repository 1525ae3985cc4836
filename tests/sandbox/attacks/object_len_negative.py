# Tries: a length below nothing
# Verdict: wrong_answer
class Answer:
    def __len__(self):
        return -1


def double(x):
    return Answer()
