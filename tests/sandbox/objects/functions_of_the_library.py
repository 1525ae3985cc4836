import functools
def kw(a, /, b, *args, c=3, **k): return a, b, args, c, k
def apply(f, *a, **k): return f(*a, **k)
def mymap(f, it): return [f(x) for x in it]
def sortby(l, key=None, reverse=False): return sorted(l, key=key, reverse=reverse)
add = lambda a, b=2: a + b
dbl = functools.partial(add, 1)
@functools.lru_cache(maxsize=None)
def fibm(n): return n if n < 2 else fibm(n - 1) + fibm(n - 2)
# --- test
import inspect, operator, functools
assert kw(1, 2, 3, c=4, z=5) == (1, 2, (3,), 4, {"z": 5}) and apply(lambda *a, **k: (a, k), 1, x=2) == ((1,), {"x": 2})
assert mymap(str.upper, "ab") == ["A", "B"] and sortby(["bb", "a"], key=len) == ["a", "bb"] and add(1) == 3 and dbl() == 3 and add.__defaults__ == (2,)
assert sortby([("a", 2), ("b", 1)], key=operator.itemgetter(1))[0][0] == "b" and fibm(50) == 12586269025
assert fibm.cache_info().hits > 0; fibm.cache_clear(); assert fibm.cache_info().currsize == 0
assert list(inspect.signature(kw).parameters) == ["a", "b", "args", "c", "k"] and inspect.signature(kw).parameters["c"].default == 3
assert functools.reduce(add, [1, 2, 3]) == 6 and sorted([3, 1, 2], key=functools.cmp_to_key(lambda a, b: b - a)) == [3, 2, 1]
assert mymap(int, ["1"]) == [1] and apply(max, 1, 5) == 5 and apply(print) is None
