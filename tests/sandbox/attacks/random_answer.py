# Tries: guess
# Verdict: wrong_answer
import random


def double(x):
    return random.random()
