# Tries: infinity where a float is compared with a tolerance
# Verdict: wrong_answer
def double(x):
    return float('inf') if isinstance(x, float) else x + x
