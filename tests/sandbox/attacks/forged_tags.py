# Tries: tagged values that do not exist
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":true}', b'{"value":{"eval":"6"}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
