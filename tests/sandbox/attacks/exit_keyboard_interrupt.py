# Tries: end like a person's Ctrl-C
# Verdict: runtime_error
def double(x):
    raise KeyboardInterrupt
