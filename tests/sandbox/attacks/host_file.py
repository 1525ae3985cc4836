# Tries: read a file of the host
# Verdict: runtime_error
print(open('{CANARY}').read())


def double(x):
    return x
