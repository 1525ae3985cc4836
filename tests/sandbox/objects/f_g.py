def f(n): return [[0]*n]*n
def g(n): return [[0]*n for _ in range(n)]


# --- test
x=f(2)
x[0][0]=1
assert x[1][0]==1
y=g(2)
y[0][0]=1
assert y[1][0]==0
