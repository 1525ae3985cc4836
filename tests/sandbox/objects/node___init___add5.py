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
r=Node(1); del r.nxt
assert not hasattr(r,'nxt') and hasattr(r,'v')
assert isinstance(r,Node) and type(r) is Node and type(r).__name__=='Node'
assert not isinstance(3,Node)
