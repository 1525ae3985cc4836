# Tries: write a file of the host through a symlink
# Verdict: runtime_error
import os

os.symlink('{CANARY}', 'link')
open('link', 'r+').write('gone')


def double(x):
    return x
