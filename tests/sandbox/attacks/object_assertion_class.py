# Tries: an AssertionError of its own
# Verdict: runtime_error
class Passed(AssertionError):
    def __str__(self):
        return "passed"


def double(x):
    raise Passed
