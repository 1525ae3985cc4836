class Name(str):
    def shout(self): return self.upper() + "!"
class Stk(list):
    def push(self, x): self.append(x)
    def peek(self): return self[-1]
class Def(dict):
    def __missing__(self, k): return k * 2
class Cel(float):
    def f(self): return self * 9 / 5 + 32
class Bag(set):
    def addall(self, *a): self.update(a); return self
# --- test
assert Name("a").shout() == "A!" and Name("a") == "a" and isinstance(Name("a"), str)
s = Stk([1]); s.push(2)
assert s == [1, 2] and s.peek() == 2 and len(s) == 2 and s[0] == 1
s.append(3); s[0] = 9
assert s.peek() == 3 and s == [9, 2, 3] and s + [1] == [9, 2, 3, 1]
d = Def(a=1)
assert d["z"] == "zz" and d == {"a": 1} and "z" not in d and Cel(100).f() == 212 and Bag().addall(1, 2) == {1, 2}
