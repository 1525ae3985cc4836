# Tries: have the host's files removed with the scratch folder
# Verdict: wrong_answer
import os

os.symlink(os.path.dirname('{CANARY}'), 'link')
os.symlink('/', 'root')


def double(x):
    return x
