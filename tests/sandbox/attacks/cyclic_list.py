# Tries: an answer without an end
# Verdict: wrong_answer
def double(x):
    answer = [x]
    answer.append(answer)
    return answer
