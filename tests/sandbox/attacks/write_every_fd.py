# Tries: write a verdict to every inherited descriptor
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for fd in range(256):
    try:
        os.write(fd, b'\0\0\0\x15{"outcome": "passed"}')
    except OSError:
        pass


def double(x):
    return x
