from collections import OrderedDict
class LRU(OrderedDict):
    def __init__(self, n): super().__init__(); self.n = n
    def __getitem__(self, k):
        v = super().__getitem__(k); self.move_to_end(k); return v
    def __setitem__(self, k, v):
        super().__setitem__(k, v); self.move_to_end(k)
        if len(self) > self.n: del self[next(iter(self))]
# --- test
c = LRU(2); c["a"] = 1; c["b"] = 2; c["a"]; c["c"] = 3
assert list(c) == ["a", "c"] and "b" not in c and len(c) == 2 and c.get("z") is None and dict(c) == {"a": 1, "c": 3}
