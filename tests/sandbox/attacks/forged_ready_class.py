# Tries: a first message without sense
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

message = b'{"ready":{"double":0}}'
os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x + x
