import copy
def f(a): return copy.deepcopy(a)


# --- test
a=[[1]]
b=f(a)
b[0].append(2)
assert a==[[1]]
