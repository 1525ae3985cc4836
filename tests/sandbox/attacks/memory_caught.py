# Tries: go on when memory is refused
# Verdict: memory_limit
held = []
while True:
    try:
        held.append(bytearray(1 << 24))
    except MemoryError:
        pass
