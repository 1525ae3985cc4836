# Tries: leave a whole program that failed with status 0, in a finalizer
# Verdict: runtime_error
# Test: program
import os


class Leaves:
    def __del__(self):
        os._exit(0)


held = Leaves()
assert False
