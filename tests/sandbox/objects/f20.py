def f(xs):
    return [lambda x,n=n: x+n for n in xs]


# --- test
assert [g(1) for g in f([1,2])]==[2,3]
