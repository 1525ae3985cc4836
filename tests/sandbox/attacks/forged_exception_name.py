# Tries: an exception whose name is a list
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"exception":["NameError",null,[],["text"],[],null]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
