# Tries: unmount the scratch folder
# Verdict: forbidden
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.umount2(b'/tmp', 2)


def double(x):
    return x
