# Tries: kill the fork server
# Verdict: passed
# Trick: signals
import os

for number in (1, 2, 9, 15, 19):
    try:
        os.kill(1, number)
    except OSError:
        pass


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
