def f(x):
    assert x>0,'positive'
    return x


# --- test
try:
    f(-1)
except AssertionError as e: assert str(e)=='positive'
else: raise Exception
