def f():
    x=yield 1
    yield x
    return 5


# --- test
g=f()
assert next(g)==1
assert g.send(7)==7
try:
    next(g)
except StopIteration as e:
    assert e.value==5
g=f(); next(g); g.close()
