# Tries: stop the kernel in a page fault
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 323, 'aarch64': 282}[__import__('os').uname().machine], 0)


def double(x):
    return x
