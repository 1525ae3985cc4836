# Tries: a generator where a list is asked for
# Verdict: wrong_answer
def double(x):
    return (y for y in x + x) if isinstance(x, list) else x + x
