import functools, inspect
def typed(f):
    sig = inspect.signature(f)
    @functools.wraps(f)
    def inner(*a, **k):
        for n, v in sig.bind(*a, **k).arguments.items():
            t = f.__annotations__.get(n)
            if t and not isinstance(v, t): raise TypeError(n)
        return f(*a, **k)
    return inner
# --- test
@typed
def add(a: int, b: int) -> int:
    return a + b
assert add(1, b=2) == 3
try:
    add(1, "x")
    assert False
except TypeError as e:
    assert str(e) == "b"
