# Tries: a failed import out of a call back, for one of the test's own
# Verdict: runtime_error
class A:
    def __mul__(self, o): raise ImportError("math", name="math")
class B:
    def __mul__(self, o): raise KeyError(0)
def double(call):
    kept = None
    try: call(A())
    except BaseException as e: kept = e
    try: call(B())
    except BaseException as e: pass
    raise kept
# --- test
import math
assert double(lambda x: x * 2) == 6
