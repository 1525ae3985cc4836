# Tries: resolve a name
# Verdict: forbidden
import socket

socket.getaddrinfo('example.org', 80)


def double(x):
    return x
