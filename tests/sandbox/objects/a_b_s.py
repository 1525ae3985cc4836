class A: pass
class B(A):
    x=3
    @staticmethod
    def s(a): return a
    @classmethod
    def c(cls): return cls()
    @property
    def p(self): return 9


# --- test
assert issubclass(B,A) and B.x==3 and B.s(2)==2 and isinstance(B.c(),A) and B().p==9 and B.__name__=='B'
assert B.__mro__[1] is A
assert isinstance(B(), B)
