def sort(a,key=None):
    a.sort(key=key)


# --- test
a=[3,1,2]
assert sort(a) is None
assert a==[1,2,3]
b=['bb','a']
sort(b,key=len)
assert b==['a','bb']
m=[[2],[1]]
x=m[0]
sort(m)
assert m[1] is x
