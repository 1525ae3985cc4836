# Tries: exhaust the recursion of whoever reads the answer
# Verdict: wrong_answer
def double(x):
    answer = []
    for _ in range(100_000):
        answer = [answer]
    return answer
