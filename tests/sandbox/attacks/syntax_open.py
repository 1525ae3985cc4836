# Tries: nothing: it is not finished
# Verdict: syntax_error
def double(x:
