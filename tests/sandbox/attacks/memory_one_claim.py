# Tries: claim ten terabytes at once
# Verdict: memory_limit
held = bytearray(10**13)
