# Tries: forged tags in an honest answer
# Verdict: wrong_answer
def double(x):
    return {"value": 6, "yours": 0, "same": 0, "kept": 0, "object": [0, 0]}
