from dataclasses import dataclass,field
@dataclass
class D:
    x:int
    y:list=field(default_factory=list)
    def m(self): return self.x*2
def f(): return D(1,[2])


# --- test
from dataclasses import asdict,is_dataclass,replace,fields,astuple
d=f()
assert d==D(1,[2]) and d!=D(2) and d.m()==2 and asdict(d)=={'x':1,'y':[2]} and is_dataclass(d) and repr(d)=='D(x=1, y=[2])'
d.y.append(3)
assert d.y==[2,3]
assert replace(d,x=5).x==5 and [f.name for f in fields(d)]==['x','y'] and astuple(d)==(1,[2,3])
assert f() in [D(1,[2])]
