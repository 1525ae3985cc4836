# Tries: swap the root
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 155, 'aarch64': 41}[__import__('os').uname().machine], b'.', b'.')


def double(x):
    return x
