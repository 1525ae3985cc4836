# Tries: measure other processes
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 298, 'aarch64': 241}[__import__('os').uname().machine], 0, 0, -1, -1, 0)


def double(x):
    return x
