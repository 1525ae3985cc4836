# Tries: an object that says it is an int
# Verdict: runtime_error
class Spoof:
    __class__ = int


def double(x):
    return Spoof()
