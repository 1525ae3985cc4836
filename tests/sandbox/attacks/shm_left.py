# Tries: leave something in shared memory for the next run
# Verdict: passed
import os

if os.path.exists('/dev/shm/left'):
    raise RuntimeError('found what another run left')
with open('/dev/shm/left', 'w') as left:
    left.write('x')
os.mkdir('/dev/shm/folder')


def double(x):
    return x + x
