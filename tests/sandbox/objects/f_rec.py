def f(n): return n if n<2 else f(n-1)+f(n-2)
def rec(g,n): return 0 if n==0 else 1+g(g,n-1)


# --- test
assert rec(lambda g,n: rec(g,n),30)==30
assert rec(rec,50)==50
