def f(s): s.add(3); return s
def g(a): return a
def h(a): return a[:]
def i(a): return a+[1]


# --- test
s={1}
t=f(s)
assert t is s and s=={1,3}
a=[1]
assert g(a) is a
assert h(a) is not a and h(a)==a
i(a)
assert a==[1]
