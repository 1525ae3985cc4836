# Tries: a key that equals every other
# Verdict: wrong_answer
class Key(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


def double(x):
    return {Key("a"): 6}
