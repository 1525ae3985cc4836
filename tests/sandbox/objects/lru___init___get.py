from collections import OrderedDict
class LRU(OrderedDict):
    def __init__(self,n):
        super().__init__()
        self.n=n
    def get(self,k):
        if k not in self: return -1
        self.move_to_end(k)
        return self[k]
    def put(self,k,v):
        self[k]=v
        self.move_to_end(k)
        if len(self)>self.n: self.popitem(last=False)


# --- test
c=LRU(2)
c.put(1,1); c.put(2,2)
assert c.get(1)==1
c.put(3,3)
assert c.get(2)==-1 and list(c)==[1,3] and c.n==2 and len(c)==2 and 1 in c
