# Tries: go round the system-call filter
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 8, 0)


def double(x):
    return x
