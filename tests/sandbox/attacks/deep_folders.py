# Tries: folders too deep to remove
# Verdict: wrong_answer
import os

for _ in range(1500):
    os.mkdir("x")
    os.chdir("x")


def double(x):
    return x
