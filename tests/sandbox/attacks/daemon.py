# Tries: leave a daemon behind a right answer
# Verdict: passed
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()


def double(x):
    return x + x
