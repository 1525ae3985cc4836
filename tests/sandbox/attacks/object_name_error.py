# Tries: an error that looks like the test's own name's
# Verdict: runtime_error
def double(x):
    raise NameError("name 'held' is not defined", name="held")
