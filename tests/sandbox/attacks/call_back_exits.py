# Tries: an exit out of a call back, for one of the test's own
# Verdict: early_exit
class A:
    def __mul__(self, o): raise SystemExit(0)
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
assert double(lambda x: x * 2) == 6
