import inspect, functools
def curry(f):
    n = len(inspect.signature(f).parameters)
    @functools.wraps(f)
    def inner(*a):
        return f(*a) if len(a) >= n else lambda *b: inner(*a, *b)
    return inner
# --- test
def add(a, b, c):
    "adds"
    return a + b + c
g = curry(add)
assert g(1)(2)(3) == 6 and g(1, 2)(3) == 6 and g.__name__ == "add" and g.__doc__ == "adds"
