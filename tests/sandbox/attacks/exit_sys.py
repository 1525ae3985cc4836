# Tries: leave before any test
# Verdict: early_exit
# Trick: early_exit
import sys

sys.exit(0)
