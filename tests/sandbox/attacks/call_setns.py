# Tries: enter another namespace
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.setns(0, 0)


def double(x):
    return x
