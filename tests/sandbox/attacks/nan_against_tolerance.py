# Tries: nan where a float is compared with a tolerance
# Verdict: wrong_answer
def double(x):
    return float('nan') if isinstance(x, float) else x + x
