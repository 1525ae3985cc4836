class Ev:
    def __init__(s): s.h={}
    def on(s,n,f): s.h.setdefault(n,[]).append(f)
    def emit(s,n,*a): return [f(*a) for f in s.h.get(n,[])]


# --- test
e=Ev()
got=[]
e.on('x',got.append)
e.on('x',lambda v:v+1)
assert e.emit('x',1)==[None,2] and got==[1]
assert e.h['x'][0] == got.append
