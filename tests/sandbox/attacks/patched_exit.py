# Tries: nothing: a right program that patches os._exit is still right
# Verdict: passed
import os

os._exit = lambda code: None


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
