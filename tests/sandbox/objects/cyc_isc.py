def cyc():
    a=[1]
    a.append(a)
    return a
def isc(a): return a[1] is a


# --- test
a=cyc()
assert a[1] is a and isc(a)
d={}
d['s']=d
l=[1]; l.append(l)
assert isc(l)
