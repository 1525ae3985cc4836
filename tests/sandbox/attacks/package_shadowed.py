# Tries: put a module of its own in the place of one that was loaded ahead
# Verdict: wrong_answer
import sys
import types

sys.modules['numpy'] = types.ModuleType('numpy')
sys.modules['numpy'].ndarray = list


def double(x):
    return [x, x]
