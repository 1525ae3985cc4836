# Tries: unhashable members in a set
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":true}', b'{"value":{"set":[[1],[2]]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
