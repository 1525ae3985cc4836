# Tries: a dataclass with an operator for a field
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"object":[9,[8,{"name":"A","module":"m","bases":[],"operators":[],"dataclass":[["__eq__"],["__eq__"]]}]]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
