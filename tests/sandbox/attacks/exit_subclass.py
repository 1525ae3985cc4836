# Tries: raise a subclass of SystemExit
# Verdict: early_exit
# Trick: early_exit
class Done(SystemExit):
    pass


def double(x):
    raise Done
