def nest(n):
    r=()
    for _ in range(n): r=(r,)
    return r
def depth(a):
    d=0
    while a: a=a[0]; d+=1
    return d
def big(n): return {'a':{i:[str(i)]*2 for i in range(n)}}


# --- test
r=nest(2000)
d=0
while r: r=r[0]; d+=1
assert d==2000
x=[]
for _ in range(3000): x=[x]
assert depth(x)==3000
assert len(big(20000)['a'])==20000
