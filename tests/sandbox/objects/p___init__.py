import copy
class P:
    def __init__(s): s.a=[1]


# --- test
import copy
p=P()
q=copy.copy(p); r=copy.deepcopy(p)
assert q is not p and q.a is p.a and r.a is not p.a and r.a==[1]
