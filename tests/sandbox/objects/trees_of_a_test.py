def invert(n):
    if n is None: return None
    n.left, n.right = invert(n.right), invert(n.left)
    return n
# --- test
class TreeNode:
    def __init__(self, val=0, left=None, right=None): self.val, self.left, self.right = val, left, right
t = TreeNode(1, TreeNode(2), TreeNode(3))
r = invert(t)
assert r is t and r.left.val == 3 and r.right.val == 2 and isinstance(r.left, TreeNode)
