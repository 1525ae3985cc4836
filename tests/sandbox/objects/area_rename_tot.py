def area(s): return s.w*s.h
def rename(o): o.name='new'; return o
def tot(a): return sum(x.v for x in a)
def srt(a): return sorted(a)
def it(a): return [x for x in a]
def ln(a): return len(a)


# --- test
class S:
    def __init__(s,w,h): s.w,s.h=w,h
    def __lt__(s,o): return s.w<o.w
    def __len__(s): return 5
    def __iter__(s): return iter([s.w,s.h])
assert area(S(2,3))==6
s=S(1,1)
assert rename(s) is s and s.name=='new'
a,b=S(2,0),S(1,0)
r=srt([a,b])
assert r[0] is b and r[1] is a
assert it(s)==[1,1] and ln(s)==5 and it(x*2 for x in [1,2])==[2,4] and it(iter([1]))==[1]
