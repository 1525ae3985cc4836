# Tries: a class under a class under a class
# Verdict: wrong_answer
kind = object
for number in range(200):
    kind = type(f"Class{number}", (kind,), {})


def double(x):
    return kind()
