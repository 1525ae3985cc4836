# Tries: change a package for the next run
# Verdict: runtime_error
import numpy

with open(numpy.__file__, 'a') as file:
    file.write('raise SystemExit\n')


def double(x):
    return x
