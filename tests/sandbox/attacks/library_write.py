# Tries: change the library
# Verdict: runtime_error
import os

open(os.__file__, 'a').write('raise SystemExit')


def double(x):
    return x
