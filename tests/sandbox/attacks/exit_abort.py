# Tries: crash on purpose
# Verdict: runtime_error
import os


def double(x):
    os.abort()
