# Tries: the generator in a context manager of the test
# Verdict: wrong_answer
def double(manager):
    return manager.gen.gi_frame.f_globals["EXPECTED"]


# --- test
import contextlib
EXPECTED = 5
@contextlib.contextmanager
def manage():
    yield
assert double(manage()) == EXPECTED
