# Tries: a class under the function's name whose instances are called
# Verdict: wrong_answer
class double:
    def __new__(cls, x):
        return super().__new__(cls)

    def __eq__(self, other):
        return True

    __hash__ = None
