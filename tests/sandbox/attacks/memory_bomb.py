# Tries: fill the memory
# Verdict: memory_limit
held = []
while True:
    held.append(bytearray(1 << 24))
