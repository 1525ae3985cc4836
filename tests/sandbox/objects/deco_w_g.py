import functools
def deco(f):
    @functools.wraps(f)
    def w(*a): return f(*a)+1
    return w
@deco
def g(x):
    'D'
    return x


# --- test
assert g(1)==2 and g.__name__=='g' and g.__doc__=='D' and g.__wrapped__(1)==1
