# Tries: an exception that is its own cause and argument
# Verdict: runtime_error
def double(x):
    error = ValueError()
    error.args = (error, [error])
    error.again = error
    raise error from error
