# Tries: open a raw socket
# Verdict: forbidden
import socket

socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def double(x):
    return x
