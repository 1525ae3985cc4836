# Tries: mount a file system
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None)


def double(x):
    return x
