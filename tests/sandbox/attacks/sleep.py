# Tries: use no CPU at all
# Verdict: time_limit
import time


def double(x):
    time.sleep(1000)
