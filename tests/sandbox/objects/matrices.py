class Matrix:
    def __init__(self, r): self.rows = [list(x) for x in r]
    def __matmul__(self, o): return Matrix([[sum(a * b for a, b in zip(r, c)) for c in zip(*o.rows)] for r in self.rows])
    def __getitem__(self, ij): return self.rows[ij[0]][ij[1]]
    def __setitem__(self, ij, v): self.rows[ij[0]][ij[1]] = v
    def __eq__(self, o): return self.rows == o.rows
    @property
    def T(self): return Matrix(zip(*self.rows))
    @staticmethod
    def identity(n): return Matrix([[int(i == j) for j in range(n)] for i in range(n)])
    def __imul__(self, k): self.rows = [[a * k for a in r] for r in self.rows]; return self
    def __len__(self): return len(self.rows)
    def __contains__(self, v): return any(v in r for r in self.rows)
# --- test
m = Matrix([[1, 2], [3, 4]])
assert (m @ Matrix.identity(2)) == m and m.T.rows == [[1, 3], [2, 4]] and m[1, 0] == 3
m[0, 0] = 7
assert m.rows[0] == [7, 2] and len(m) == 2 and 7 in m and 99 not in m
m *= 2
assert m.rows == [[14, 4], [6, 8]]
