class D(dict):
    def __missing__(self,k): return k*2
    def __getattr__(self,n): return self[n]


# --- test
d=D(a=1)
assert d['a']==1 and d[4]==8 and d.a==1 and d=={'a':1}
