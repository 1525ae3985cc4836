# Tries: rename the host
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.sethostname(b'pwned', 5)


def double(x):
    return x
