# Tries: a large wrong answer of which it says that it has no digest, as what it is compared with may have none
# Test: large
# Verdict: wrong_answer
import hashlib


class Digest:
    def __init__(self, *_):
        pass

    def update(self, *_):
        pass

    def hexdigest(self):
        return None


hashlib.sha256 = Digest


def double(x):
    return [1] * len(x) * 2
