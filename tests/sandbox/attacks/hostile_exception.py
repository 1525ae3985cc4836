# Tries: an exception that acts when it is told
# Verdict: runtime_error
import os


class Hostile(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


def double(x):
    raise Hostile
