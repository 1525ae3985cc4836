# Tries: fill the memory in children
# Verdict: memory_limit
import os

for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x") * (100 << 20)
        os.wait()
        os._exit(len(held) % 2)
for _ in range(8):
    os.wait()
