class Pos:
    def __set_name__(self, o, n): self.n = "_" + n
    def __get__(self, i, o=None): return self if i is None else getattr(i, self.n)
    def __set__(self, i, v):
        if v <= 0: raise ValueError(f"{self.n[1:]} must be positive")
        setattr(i, self.n, v)
class Item:
    price = Pos()
    __slots__ = ("_price", "q")
    def __init__(self, p): self.price = p
class Sing:
    _i = None
    def __new__(cls):
        if cls._i is None: cls._i = super().__new__(cls)
        return cls._i
class Meta(type):
    def __call__(cls, *a): o = super().__call__(*a); o.made = True; return o
class M(metaclass=Meta): pass
class Dyn:
    def __getattr__(self, n):
        if n.startswith("get_"): return lambda: n[4:]
        raise AttributeError(n)
# --- test
import pytest
i = Item(5)
i.price = 7
assert i.price == 7 and Sing() is Sing() and M().made and Dyn().get_x() == "x"
with pytest.raises(ValueError, match="price must be positive"): i.price = 0
with pytest.raises(AttributeError): i.other = 1
with pytest.raises(AttributeError): Dyn().zzz
assert getattr(Dyn(), "zzz", 5) == 5 and not hasattr(Dyn(), "zzz") and Item.__slots__ == ("_price", "q")
