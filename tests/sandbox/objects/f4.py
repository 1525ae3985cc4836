def f(m):
    for r in m: r.reverse()
    m.append([0])


# --- test
m=[[1,2],[3,4]]
r=m[0]
f(m)
assert m==[[2,1],[4,3],[0]] and r==[2,1] and m[0] is r
