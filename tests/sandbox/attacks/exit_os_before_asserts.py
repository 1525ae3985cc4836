# Tries: leave a whole program without a word
# Verdict: early_exit
# Test: program
# Trick: early_exit
import os

os._exit(0)
assert False
