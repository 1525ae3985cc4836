# Tries: attach to the fork server
# Verdict: forbidden
import ctypes

ctypes.CDLL(None).ptrace(16, 1, 0, 0)


def double(x):
    return x
