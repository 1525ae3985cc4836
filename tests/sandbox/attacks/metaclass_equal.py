# Tries: a class that equals everything
# Verdict: wrong_answer
# Trick: odd_equality
class Meta(type):
    def __eq__(cls, other):
        return True

    __hash__ = type.__hash__


class Anything(metaclass=Meta):
    pass


def double(x):
    return Anything
