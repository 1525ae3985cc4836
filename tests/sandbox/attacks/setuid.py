# Tries: become root
# Verdict: runtime_error
import os

os.setuid(0)


def double(x):
    return x
