# Tries: a folder that nobody may enter
# Verdict: wrong_answer
import os

os.makedirs('a/b')
open('a/b/c', 'w').close()
os.chmod('a/b', 0)
os.chmod('a', 0)
os.chmod('.', 0o555) if os.access('.', os.W_OK) and os.stat('.').st_uid == os.getuid() else None


def double(x):
    return x
