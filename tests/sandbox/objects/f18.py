def f(a,b): return a is b


# --- test
x=[]
assert f(x,x) and not f([],[])
