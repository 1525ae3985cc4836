from collections import namedtuple
P=namedtuple('P','x y')
def f(): return P(1,2)
def g(p): return p.x+p.y


# --- test
p=f()
assert p==(1,2) and p.x==1 and p._asdict()=={'x':1,'y':2} and P(3,4).y==4 and isinstance(p,P) and g(P(1,5))==6 and g(p._replace(x=10))==12 and P._fields==('x','y') and repr(p)=='P(x=1, y=2)'
x,y=p
assert {p:1}[(1,2)]==1 and isinstance(p,tuple) and p==P(1,2)
