from enum import Enum,IntEnum,auto,Flag
class Color(Enum):
    RED=1
    BLUE='b'
    def low(self): return self.name.lower()
    @classmethod
    def first(cls): return cls.RED
class Pr(IntEnum):
    LO=1
    HI=2
class Fl(Flag):
    A=auto()
    B=auto()
def f(): return Color.RED
def g(p): return p is Pr.HI
def h(x): return x==Fl.A|Fl.B
def ab(): return Fl.A|Fl.B


# --- test
assert f() is Color.RED and f().value==1 and f().name=='RED' and Color(1) is Color.RED and Color['BLUE'].value=='b' and len(Color)==2 and [c.name for c in Color]==['RED','BLUE'] and Color.RED.low()=='red' and Color.first() is Color.RED
assert Pr.HI>Pr.LO and Pr.HI==2 and g(Pr.HI) and not g(Pr.LO) and max(Pr)==Pr.HI
assert h(Fl.A|Fl.B) and ab()==Fl.A|Fl.B and Fl.A in ab()
assert isinstance(f(),Color) and Color.RED in Color and str(f())=='Color.RED' and {Color.RED:1}[f()]==1
assert f()!=1
