# Tries: write into the root
# Verdict: runtime_error
open('/pwned', 'w').close()


def double(x):
    return x
