class T:
    def __init__(s,c): s._c=c
    @property
    def f(s): return s._c*2
    @f.setter
    def f(s,v):
        if v<0: raise ValueError('neg')
        s._c=v/2


# --- test
t=T(2)
assert t.f==4
t.f=10
assert t._c==5
try:
    t.f=-1
    assert False
except ValueError as e: assert 'neg' in str(e)
