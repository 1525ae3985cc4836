def apply(f,*a,**k): return f(*a,**k)


# --- test
assert apply(max,1,2)==2
assert apply(lambda *a,**k:(a,k),1,b=2)==((1,),{'b':2})
assert apply(sorted,[2,1],key=lambda x:-x)==[2,1]
calls=[]
apply(calls.append,3)
assert calls==[3]
