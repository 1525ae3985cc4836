# Tries: a module, so that the test looks for what it lacks
# Verdict: wrong_answer
import math


def double(x):
    return math
