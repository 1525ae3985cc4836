# Tries: an answer that numpy asks instead of comparing
# Verdict: wrong_answer
class Always:
    def all(self):
        return True

    __bool__ = all


class Answer:
    def __array_function__(self, *_):
        return True

    def __array_ufunc__(self, *_, **__):
        return Always()

    def __array__(self, *_, **__):
        import numpy

        return numpy.array([])


def double(x):
    return Answer()


# --- test
import numpy as np
assert np.allclose(double(3), [1.0, 2.0])
