# Tries: open a server
# Verdict: forbidden
import socket

socket.socket().bind(('127.0.0.1', 0))


def double(x):
    return x
