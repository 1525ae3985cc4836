import math
def f(x): return math.pi*x


# --- test
assert abs(f(1)-math.pi)<1e-9
assert math.isclose(f(2),2*math.pi)
