# Tries: patch how answers are sent
# Verdict: wrong_answer
# Trick: protocol_forgery
import sys

frames = sys.modules.get("inside.frames")
if frames is not None:
    send = frames.write_frame
    frames.write_frame = lambda fd, payload: send(fd, b'{"value": 6}' if b"value" in payload else payload)


def double(x):
    return x
