# Tries: a class that everything is an instance of
# Verdict: wrong_answer
class Meta(type):
    def __instancecheck__(cls, thing):
        return True

    def __subclasscheck__(cls, thing):
        return True


class Answer(int, metaclass=Meta):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def double(x):
    return Answer(5)
