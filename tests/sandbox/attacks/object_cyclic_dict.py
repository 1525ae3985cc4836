# Tries: a dict that is in itself
# Verdict: wrong_answer
def double(x):
    answer = {}
    answer["answer"] = [answer, {"again": answer}]
    return answer
