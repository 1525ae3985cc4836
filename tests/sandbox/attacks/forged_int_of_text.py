# Tries: a number whose value is a handle
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"subclass":[9,[8,{"name":"A","module":"m","bases":["int"],"operators":[]}],{"object":[7,0]}]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
