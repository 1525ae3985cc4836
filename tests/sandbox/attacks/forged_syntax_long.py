# Tries: a last word that is longer than the judge's note may be
# Verdict: syntax_error
import os, json
m = json.dumps({"syntax": "x" * (20 << 20)}).encode()
m = len(m).to_bytes(4, "big") + m
while m: m = m[os.write(3, m):]
import time; time.sleep(1)
def double(x):
    return x
# --- test
assert double(3) == 6
