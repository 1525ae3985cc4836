# Tries: an answer that fills the reader's memory
# Verdict: wrong_answer
def double(x):
    return 'x' * (20 << 20)
