# Tries: make a user namespace and be root in it
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.unshare(0x10000000)


def double(x):
    return x
