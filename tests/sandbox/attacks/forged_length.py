# Tries: announce a frame of four gigabytes
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

os.write(3, b'\xff\xff\xff\xff')


def double(x):
    return x
