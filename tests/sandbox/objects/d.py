from dataclasses import dataclass
@dataclass(frozen=True,order=True)
class D:
    x:int


# --- test
assert D(1)<D(2) and {D(1),D(1)}=={D(1)} and len({D(1),D(1)})==1 and sorted([D(2),D(1)])==[D(1),D(2)]
try:
    D(1).x=2
    assert False
except AttributeError: pass
