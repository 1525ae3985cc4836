# Tries: read the fork server's environment
# Verdict: runtime_error
print(open('/proc/1/environ').read())


def double(x):
    return x
