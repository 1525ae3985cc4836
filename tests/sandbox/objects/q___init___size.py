class Q:
    def __init__(s): s.items=[]
    def size(s): return len(s.items)
q=Q()


# --- test
q.items.append(1)
assert q.size()==1
q.items+=[2,3]
assert q.size()==3
assert q.items.pop()==3 and q.size()==2
z=Q()
assert z.items==[] and z.items is not q.items
