from abc import ABC,abstractmethod
class Sh(ABC):
    @abstractmethod
    def area(s): ...
class Sq(Sh):
    def __init__(s,n): s.n=n
    def area(s): return s.n**2


# --- test
try:
    Sh()
    assert False
except TypeError: pass
assert Sq(3).area()==9 and isinstance(Sq(1),Sh)
