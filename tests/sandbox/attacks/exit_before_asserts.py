# Tries: leave a whole program before its asserts
# Verdict: early_exit
# Test: program
# Trick: early_exit
import sys

sys.exit(0)
assert False
