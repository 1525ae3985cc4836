# Tries: to give an assertion back where its telling swallows it
# Verdict: wrong_answer
import json
import os


def send(message):
    payload = json.dumps(message).encode()
    os.write(3, len(payload).to_bytes(4, "big") + payload)


class Answer:
    def __str__(self):
        send({"raised": {"yours": 2}})
        os.read(3, 1 << 16)
        send({"value": None})
        os.read(3, 1 << 16)
        os._exit(0)


def double(call):
    call(Answer())


# --- test
def look(x):
    assert x == 5, x
double(look)
