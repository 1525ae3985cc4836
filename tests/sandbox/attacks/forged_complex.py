# Tries: a complex number of text
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"complex":["1",2]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
