# Tries: a module whose import runs something
# Verdict: wrong_answer
import types


def double(x):
    return types.ModuleType("unittest.__main__")
