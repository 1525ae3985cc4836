# Tries: connect over IPv6
# Verdict: forbidden
import socket

socket.socket(socket.AF_INET6).connect(('::1', int('{PORT}')))


def double(x):
    return x
