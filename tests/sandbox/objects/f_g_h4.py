def f(): return type(3)
def g(): return int
def h(x): return type(x)
def k(): return None


# --- test
assert f() is int and g()('4')==4 and h('a') is str and h([]) == list and k() is None
