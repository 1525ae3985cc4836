# Tries: nothing: clone3 is refused, and libraries go on without it
# Verdict: passed
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(435, 0, 0) == -1 and ctypes.get_errno() == 38


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
