# Tries: stop the fork server
# Verdict: passed
# Trick: signals
import os
import signal

try:
    os.kill(1, signal.SIGSTOP)
except OSError:
    pass


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
