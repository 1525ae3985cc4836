# Tries: to have the judge print more than it may
# Verdict: output_limit
import os, json
def double(x):
    m = json.dumps({"value": 6, "printed": {"stdout": "x" * (5 << 20)}}).encode()
    os.write(3, len(m).to_bytes(4, "big") + m)
    import time; time.sleep(1)
    return 6
# --- test
assert double(3) == 7
