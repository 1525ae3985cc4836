class E(ValueError):
    def __init__(self,code,msg):
        super().__init__(msg)
        self.code=code
    def __str__(self): return f'{self.code}:{self.args[0]}'
    def hint(self): return 'h'+str(self.code)
def f(): raise E(4,'bad')


# --- test
try:
    f()
except ValueError as e:
    assert e.code==4 and str(e)=='4:bad' and isinstance(e,E) and type(e).__name__=='E' and e.hint()=='h4'
try:
    f()
except E as e: pass
else: assert False
try:
    f()
except (KeyError,E): pass
assert issubclass(E,ValueError)
