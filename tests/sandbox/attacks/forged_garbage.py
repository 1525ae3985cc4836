# Tries: send bytes that are no JSON
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

os.write(3, b'\0\0\0\4\xff\xfe{}')


def double(x):
    return x
