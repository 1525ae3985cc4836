def each(f,a):
    for x in a: f(x)


# --- test
seen=[]
each(lambda x: seen.append(x*2),[1,2])
assert seen==[2,4]
d={}
each(lambda x: d.update({x:1}), 'ab')
assert d=={'a':1,'b':1}
