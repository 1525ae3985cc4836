import copy
def clone(n): return copy.deepcopy(n)
# --- test
class Node:
    def __init__(self, v): self.v, self.kids = v, []
n = Node(1); n.kids.append(Node(2))
m = clone(n)
assert m is not n and m.v == 1 and m.kids[0].v == 2 and m.kids[0] is not n.kids[0]
