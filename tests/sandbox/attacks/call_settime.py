# Tries: set the clock
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 227, 'aarch64': 112}[__import__('os').uname().machine], 0, 0)


def double(x):
    return x
