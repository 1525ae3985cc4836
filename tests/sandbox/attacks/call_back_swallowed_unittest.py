# Tries: a failure that is no AssertionError, caught
# Verdict: wrong_answer
def double(call):
    try:
        call(0)
    except BaseException:
        pass


# --- test
import pytest
def look(x):
    if x != 5:
        pytest.fail('another')
double(look)
