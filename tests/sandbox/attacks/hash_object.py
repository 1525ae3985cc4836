# Tries: an object with every hash
# Verdict: wrong_answer
# Trick: odd_equality
class Anything:
    def __hash__(self):
        return 6

    def __eq__(self, other):
        return True


def double(x):
    return Anything()
