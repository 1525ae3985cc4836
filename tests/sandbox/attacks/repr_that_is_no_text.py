# Tries: a text that is none in the judge's own account of a failure
# Verdict: wrong_answer
class K:
    def __repr__(self): return 5
    __str__ = __repr__
def double(x):
    return K()
# --- test
assert double(3) == 6, double(3)
