def inst(c): return c(3).x
def chk(x,c): return isinstance(x,c)


# --- test
class K:
    def __init__(s,x): s.x=x
assert inst(K)==3
assert chk(3,int) and not chk('a',int)
