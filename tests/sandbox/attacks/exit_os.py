# Tries: leave without the interpreter noticing
# Verdict: early_exit
# Trick: early_exit
import os

os._exit(0)
