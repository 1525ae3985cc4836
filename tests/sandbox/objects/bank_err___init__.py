class Bank:
    class Err(Exception): pass
    def __init__(self): self.b=0
    def w(self,n):
        if n>self.b: raise Bank.Err('low',n)
        self.b-=n


# --- test
b=Bank()
try:
    b.w(5); assert False
except Bank.Err as e:
    assert e.args==('low',5) and str(e)=="('low', 5)"
