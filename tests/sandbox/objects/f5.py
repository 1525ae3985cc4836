def f(d):
    d['x']=d.pop('y')
    return d


# --- test
d={'y':1}
assert f(d) is d and d=={'x':1}
