def double(a):
    a *= 2
    return a


# --- test
import numpy as np
a = np.array([1, 2])
assert double(a) is a and a.tolist() == [2, 4]
