# Tries: nothing: children that nobody waits for
# Verdict: passed
import os

for _ in range(20):
    if os.fork() == 0:
        os._exit(0)


def double(x):
    return x + x
