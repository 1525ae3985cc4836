# Tries: clone a mount
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(428, -100, b'/', 1)


def double(x):
    return x
