# Tries: crash the interpreter
# Verdict: runtime_error
import ctypes


def double(x):
    ctypes.string_at(0)
