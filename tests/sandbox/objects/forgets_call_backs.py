class Emitter:
    def __init__(self): self.h = {}
    def on(self, e, f): self.h.setdefault(e, []).append(f); return f
    def emit(self, e, *a): return [f(*a) for f in self.h.get(e, [])]
    def off(self, e, f): self.h[e].remove(f)
class Graph:
    def __init__(self): self.adj = {}
    def add(self, a, b): self.adj.setdefault(a, set()).add(b); self.adj.setdefault(b, set()).add(a)
    def bfs(self, s, visit):
        seen, q = {s}, [s]
        while q:
            n = q.pop(0); visit(n)
            for m in sorted(self.adj[n]):
                if m not in seen: seen.add(m); q.append(m)
# --- test
from unittest.mock import Mock
e = Emitter(); got = []
h = e.on("x", got.append); m = Mock(return_value=3)
e.on("x", m)
assert e.emit("x", 5) == [None, 3] and got == [5]
m.assert_called_once_with(5)
e.off("x", m); e.emit("x", 6)
assert m.call_count == 1 and got == [5, 6] and e.emit("none") == []
g = Graph(); g.add(1, 2); g.add(1, 3); order = []
g.bfs(1, order.append)
assert order == [1, 2, 3] and g.adj[1] == {2, 3}
