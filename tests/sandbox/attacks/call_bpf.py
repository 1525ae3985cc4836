# Tries: load a program into the kernel
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({'x86_64': 321, 'aarch64': 280}[__import__('os').uname().machine], 0, 0, 0)


def double(x):
    return x
