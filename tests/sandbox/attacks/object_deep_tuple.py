# Tries: a nest too deep to be told, of tuples
# Verdict: wrong_answer
def double(x):
    answer = ()
    for _ in range(100_000):
        answer = (answer,)
    return answer
