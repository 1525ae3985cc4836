# Tries: take a descriptor of the fork server
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(438, 3, 1, 0)


def double(x):
    return x
