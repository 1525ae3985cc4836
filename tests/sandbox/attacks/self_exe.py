# Tries: overwrite the interpreter through /proc
# Verdict: runtime_error
open('/proc/self/exe', 'wb').write(b'')


def double(x):
    return x
