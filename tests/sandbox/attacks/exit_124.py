# Tries: look like a timeout of timeout(1)
# Verdict: early_exit
# Trick: early_exit
import os


def double(x):
    os._exit(124)
