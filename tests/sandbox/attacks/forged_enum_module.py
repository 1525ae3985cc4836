# Tries: an enumeration that is whatever the module has
# Verdict: wrong_answer
# Trick: protocol_forgery
import os

for message in (b'{"ready":{"double":1}}', b'{"value":{"member":[[8,{"name":"sys","module":"enum","bases":[],"operators":[],"members":[["__x__",1]]}],9,"__x__",1]}}'):
    os.write(3, len(message).to_bytes(4, "big") + message)


def double(x):
    return x
