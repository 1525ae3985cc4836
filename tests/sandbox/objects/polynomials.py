class Poly:
    def __init__(self, *c): self.c = list(c)
    def __call__(self, x): return sum(a * x ** i for i, a in enumerate(self.c))
    def __add__(self, o):
        n = max(len(self.c), len(o.c)); g = lambda c, i: c[i] if i < len(c) else 0
        return Poly(*[g(self.c, i) + g(o.c, i) for i in range(n)])
    def __eq__(self, o): return self.c == o.c
    def __str__(self): return " + ".join(f"{a}x^{i}" for i, a in enumerate(self.c))
    @classmethod
    def from_roots(cls, *r): return cls(*r)
    @property
    def degree(self): return len(self.c) - 1
    def __getitem__(self, i): return self.c[i]
    def __setitem__(self, i, v): self.c[i] = v
# --- test
p = Poly(1, 2, 3)
assert p(2) == 17 and (p + Poly(1)).c == [2, 2, 3] and str(p) == "1x^0 + 2x^1 + 3x^2" and p.degree == 2
p[0] = 9
assert p[0] == 9 and p.c[0] == 9 and Poly.from_roots(1).degree == 0 and p + Poly(0) == p
