# Tries: an object under the number of a class
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"object":[0,0]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
