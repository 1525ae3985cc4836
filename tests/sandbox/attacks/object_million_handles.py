# Tries: a million handles at once
# Verdict: time_limit
def double(x):
    return [object() for _ in range(1_000_000)]
