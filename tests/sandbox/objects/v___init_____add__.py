class V:
    def __init__(s,x,y): s.x,s.y=x,y
    def __add__(s,o): return V(s.x+o.x,s.y+o.y)
    def __mul__(s,k): return V(s.x*k,s.y*k)
    __rmul__=__mul__
    def __eq__(s,o): return isinstance(o,V) and (s.x,s.y)==(o.x,o.y)
    def __hash__(s): return hash((s.x,s.y))
    def __repr__(s): return f'V({s.x}, {s.y})'
    def __abs__(s): return (s.x**2+s.y**2)**.5
    def __neg__(s): return V(-s.x,-s.y)
    def __bool__(s): return bool(s.x or s.y)
    def __iter__(s): return iter((s.x,s.y))
    def __getitem__(s,i): return (s.x,s.y)[i]
    def __matmul__(s,o): return s.x*o.x+s.y*o.y
    def __call__(s): return 'c'
    def __format__(s,f): return f'<{f}>'
    def __lt__(s,o): return abs(s)<abs(o)


# --- test
a=V(3,4)
assert a+V(1,1)==V(4,5) and a*2==V(6,8) and 2*a==V(6,8) and abs(a)==5 and -a==V(-3,-4) and repr(a)=='V(3, 4)' and str(a)=='V(3, 4)' and f'{a:q}'=='<q>' and f'{a!r}'=='V(3, 4)'
assert bool(a) and not V(0,0) and tuple(a)==(3,4) and a[1]==4 and a@a==25 and a()=='c' and V(1,0)<a and sorted([a,V(0,1)])[0].x==0 and len({V(1,1),V(1,1)})==1 and {V(1,2):'k'}[V(1,2)]=='k' and a!=V(0,0) and a!=5 and a in [V(3,4)]
x,y=a
assert x==3 and max(a,V(9,9)).x==9
