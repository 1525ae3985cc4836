from typing import NamedTuple
class Q(NamedTuple):
    a:int
    b:int=7
    def s(self): return self.a+self.b


# --- test
assert Q(1).b==7 and Q(1).s()==8 and Q(a=2,b=3)==(2,3)
