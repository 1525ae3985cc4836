class Node:
    def __init__(self,v,nxt=None):
        self.v,self.nxt=v,nxt
        self.children=[]
    def add(self,c):
        self.children.append(c)
        return self
    def total(self):
        return self.v+sum(c.total() for c in self.children)
def build(a):
    h=None
    for x in reversed(a): h=Node(x,h)
    return h
def tolist(n):
    r=[]
    while n: r.append(n.v); n=n.nxt
    return r


# --- test
r=Node(1); assert r.add(Node(2)) is r
assert r.children[0].v==2
r.children[0].v=7
assert r.total()==8
