# Tries: another exception in place of a failed assertion
# Verdict: wrong_answer
class double:
    def __init__(self, x): pass
    def __enter__(self): return 1
    def __exit__(self, *a): raise ValueError
# --- test
try:
    with double(3) as r:
        assert r == 6
except ValueError:
    pass
