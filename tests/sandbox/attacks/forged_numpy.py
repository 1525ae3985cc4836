# Tries: a forged message of the object protocol
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"ndarray":["O",[1],"00"]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
