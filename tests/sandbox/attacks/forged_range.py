# Tries: a range of handles
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"range":[{"object":[7,0]},1,1]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
