# Tries: a class named as a package is called
# Verdict: wrong_answer
class np:
    allclose = staticmethod(lambda *_: True)


def double(x):
    return 0


# --- test
assert np.allclose(double(3), [1.0, 2.0])
