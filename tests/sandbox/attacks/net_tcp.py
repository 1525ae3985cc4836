# Tries: connect to a server of the host
# Verdict: forbidden
import socket

socket.create_connection(('127.0.0.1', int('{PORT}')))


def double(x):
    return x
