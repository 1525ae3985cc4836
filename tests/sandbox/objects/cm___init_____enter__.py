class CM:
    def __init__(s): s.log=[]
    def __enter__(s): s.log.append('in'); return s
    def __exit__(s,t,v,tb): s.log.append(t.__name__ if t else None); return t is ValueError
from contextlib import contextmanager
@contextmanager
def cm(a):
    a.append(1)
    try: yield 'v'
    finally: a.append(2)


# --- test
c=CM()
with c as d: assert d is c
assert c.log==['in',None]
with c: raise ValueError('x')
assert c.log[-1]=='ValueError'
a=[]
with cm(a) as v:
    assert v=='v' and a==[1]
assert a==[1,2]
