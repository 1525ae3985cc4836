def curry(f):
    n = f.__code__.co_argcount
    def inner(*a):
        return f(*a) if len(a) >= n else lambda *b: inner(*a, *b)
    return inner
# --- test
assert curry(lambda a, b, c: a + b + c)(1)(2)(3) == 6
