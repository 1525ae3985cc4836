class Solver:
    def __init__(self,a): self.a=a
    def run(self): self.a.sort(); return len(self.a)
    def get(self): return self.a


# --- test
a=[3,1]
s=Solver(a)
assert s.run()==2 and a==[1,3]
a.append(0)
assert s.run()==3 and a==[0,1,3] and s.get() is a and s.a is a
