def memo(fn):
    cache={}
    def w(*a):
        if a not in cache: cache[a]=fn(*a)
        return cache[a]
    w.cache=cache
    return w
@memo
def sq(n): return n*n


# --- test
assert sq(3)==9
assert sq.cache=={(3,):9}
assert sq(3)==9
