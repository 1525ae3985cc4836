# Tries: reach the hypervisor
# Verdict: forbidden
import socket

socket.socket(socket.AF_VSOCK)


def double(x):
    return x
