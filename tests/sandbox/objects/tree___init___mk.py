class Tree:
    def __init__(s,v,l=None,r=None): s.v,s.l,s.r=v,l,r
def mk(a):
    if not a: return None
    m=len(a)//2
    return Tree(a[m],mk(a[:m]),mk(a[m+1:]))
def inv(t):
    if t: t.l,t.r=inv(t.r),inv(t.l)
    return t


# --- test
def ino(t): return ino(t.l)+[t.v]+ino(t.r) if t else []
assert ino(mk([1,2,3,4,5]))==[1,2,3,4,5]
assert ino(inv(mk([1,2,3])))==[3,2,1]
t=Tree(1,Tree(2),Tree(3))
assert inv(t) is t and t.l.v==3
