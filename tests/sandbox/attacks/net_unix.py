# Tries: reach a unix socket of the host
# Verdict: forbidden
import socket

socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')


def double(x):
    return x
