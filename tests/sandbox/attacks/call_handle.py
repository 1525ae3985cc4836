# Tries: open a file by its handle
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 304, 'aarch64': 265}[__import__('os').uname().machine], 0, 0, 0)


def double(x):
    return x
