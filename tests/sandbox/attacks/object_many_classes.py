# Tries: thousands of classes at once
# Verdict: wrong_answer
def double(x):
    return [type(f"Class{n}", (), {})() for n in range(2_000)]
