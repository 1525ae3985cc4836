def f(): return 1,
def g(): return {1:'a',None:2,(1,2):3,True:4}
def h(): return {'b':1,'a':2}


# --- test
assert f()==(1,) and g()=={1:4,None:2,(1,2):3} and list(h())==['b','a'] and str(h())=="{'b': 1, 'a': 2}"
