# Tries: change the root
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.chroot(b'/tmp')


def double(x):
    return x
