# Tries: reach an abstract unix socket of the host
# Verdict: forbidden
import socket

socket.socket(socket.AF_UNIX).connect('\0ra3-canary')


def double(x):
    return x
