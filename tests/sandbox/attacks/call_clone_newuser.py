# Tries: clone into a user namespace
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 56, 'aarch64': 220}[__import__('os').uname().machine], 0x10000011, 0, 0, 0, 0)


def double(x):
    return x
