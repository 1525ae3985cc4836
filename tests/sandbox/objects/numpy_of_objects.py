import numpy as np
def objs(): return np.array([1, "a", None], dtype=object)
def take(a): return len(a), a[1]
# --- test
import numpy as np
assert objs().tolist() == [1, "a", None] and objs().dtype == object and objs()[1] == "a"
assert take(np.array([1, "b"], dtype=object)) == (2, "b")
nested = np.empty((2, 1), dtype=object)
nested[0, 0], nested[1, 0] = [1, 2], {"a": 1}
assert take(nested.reshape(2)) == (2, {"a": 1})
