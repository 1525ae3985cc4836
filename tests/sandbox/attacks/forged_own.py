# Tries: a container with a method that containers lack
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"box":[9,[8,{"name":"A","module":"m","bases":["list"],"operators":[],"box":"list","own":["__class__"]}],[]]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
