def f(d): return d.keys()
def g(d): return d.items()
def h(a): return map(str,a)
def z(a,b): return zip(a,b)
def e(a): return enumerate(a)
def r(a): return reversed(a)
def fl(a): return filter(None,a)


# --- test
assert sorted(f({'b':1,'a':2}))==['a','b']
assert list(g({1:2}))==[(1,2)]
assert list(h([1,2]))==['1','2']
assert dict(z([1],[2]))=={1:2}
assert list(e('ab'))==[(0,'a'),(1,'b')]
assert list(r([1,2]))==[2,1]
assert 1 in fl([0,1])
assert tuple(f({1:2}))==(1,)
assert len(f({1:2}))==1
assert f({1:2})=={1}
