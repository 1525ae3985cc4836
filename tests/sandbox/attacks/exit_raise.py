# Tries: raise SystemExit in a call
# Verdict: early_exit
# Trick: early_exit
def double(x):
    raise SystemExit(0)
