# Tries: leave shared memory behind
# Verdict: runtime_error
import ctypes

if ctypes.CDLL(None, use_errno=True).shmget(0x1234, 1 << 20, 0o1666) == -1:
    raise OSError(ctypes.get_errno())


def double(x):
    return x
