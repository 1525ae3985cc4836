# Tries: a named tuple with an operator for a field
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"namedtuple":[[8,{"name":"A","module":"m","bases":["tuple"],"operators":[],"fields":["__eq__"]}],[1]]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
