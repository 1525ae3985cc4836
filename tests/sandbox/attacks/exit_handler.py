# Tries: leave a whole program that failed with status 0, in a handler
# Verdict: early_exit
# Test: program
import atexit
import os

atexit.register(os._exit, 0)
assert False
