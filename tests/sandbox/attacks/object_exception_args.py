# Tries: an exception whose arguments act when they are told
# Verdict: runtime_error
class Argument:
    def __repr__(self):
        raise SystemExit(0)

    @property
    def __class__(self):
        raise SystemExit(0)


class Hostile(ValueError):
    @property
    def args(self):
        return (Argument(), self)


def double(x):
    raise Hostile(Argument())
