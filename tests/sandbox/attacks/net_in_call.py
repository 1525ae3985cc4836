# Tries: connect in a call
# Verdict: forbidden
import socket


def double(x):
    socket.create_connection(('127.0.0.1', int('{PORT}')))
