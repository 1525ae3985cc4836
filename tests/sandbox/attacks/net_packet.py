# Tries: listen to the wire
# Verdict: forbidden
import socket

socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


def double(x):
    return x
