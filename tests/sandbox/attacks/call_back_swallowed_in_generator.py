# Tries: the assertion of a generator of the test, caught
# Verdict: wrong_answer
def double(steps):
    try:
        list(steps)
    except BaseException:
        pass


# --- test
def steps():
    assert double is None
    yield
double(steps())
