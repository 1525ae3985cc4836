# Tries: find what the last run left in shared memory
# Verdict: passed
import os

if os.path.exists('/dev/shm/left'):
    raise RuntimeError('found what another run left')
with open('/dev/shm/left', 'w') as left:
    left.write('x')
os.mkdir('/dev/shm/folder')


def double(x):
    return x + x
