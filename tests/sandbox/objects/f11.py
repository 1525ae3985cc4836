def f(x):
    return ValueError('v',x)


# --- test
e=f(3)
assert isinstance(e,ValueError) and e.args==('v',3)
