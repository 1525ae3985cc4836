# Tries: a last word that the judge cannot tell
# Verdict: syntax_error
import os, json
m = b'{"syntax": ' + b"[" * 5000 + b"]" * 5000 + b"}"
m = len(m).to_bytes(4, "big") + m
while m: m = m[os.write(3, m):]
import time; time.sleep(1)
def double(x):
    return x
# --- test
assert double(3) == 6
