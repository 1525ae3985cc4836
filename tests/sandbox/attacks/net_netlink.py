# Tries: ask the kernel for interfaces
# Verdict: forbidden
import socket

socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


def double(x):
    return x
