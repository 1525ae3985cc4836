# Tries: leave a whole program in a finalizer before its asserts
# Verdict: early_exit
# Test: program
# Trick: early_exit
import os


class Leaves:
    def __del__(self):
        os._exit(0)


held = Leaves()
del held
assert False
