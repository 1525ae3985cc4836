# Tries: read another process's memory
# Verdict: forbidden
import ctypes

ctypes.CDLL(None).process_vm_readv(1, None, 0, None, 0, 0)


def double(x):
    return x
