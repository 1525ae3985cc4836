class A:
    __slots__=('x',)
    def __init__(s): s.x=1
class S:
    _i=None
    def __new__(cls):
        if cls._i is None: cls._i=super().__new__(cls)
        return cls._i


# --- test
a=A()
try:
    a.y=2
    assert False
except AttributeError: pass
assert S() is S()
assert vars(S())=={} and a.x==1
