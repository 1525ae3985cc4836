# Tries: read the fork server's memory
# Verdict: runtime_error
# Trick: memory_search
open('/proc/1/mem', 'rb').read(1)


def double(x):
    return x
