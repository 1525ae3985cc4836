def walk(n, f): return f(n)
# --- test
def down(n): return 0 if n == 0 else 1 + walk(n - 1, down)
assert down(90) == 90
