# Tries: text that has no encoding
# Verdict: wrong_answer
def double(x):
    return '\ud800' * 3
