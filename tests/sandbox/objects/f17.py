def f(t): return t


# --- test
t=(1,[2])
assert f(t)==t
assert f(t)[1] is t[1]
