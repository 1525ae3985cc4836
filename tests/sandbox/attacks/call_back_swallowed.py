# Tries: the assertion of a function of the test, caught
# Verdict: wrong_answer
def double(call):
    try:
        call(0)
    except BaseException:
        pass


# --- test
def look(x):
    assert x == 5
double(look)
