# Tries: use the CPU in children, so as not to be the one
# Verdict: time_limit
import os

for _ in range(4):
    if os.fork() == 0:
        while True:
            pass
for _ in range(4):
    os.wait()
