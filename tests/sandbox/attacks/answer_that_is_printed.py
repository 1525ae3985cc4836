# Tries: to have the test print more than the judge may
# Verdict: output_limit
def double(x):
    return "x" * (5 << 20)
# --- test
r = double(3)
print(r)
assert r == 6
