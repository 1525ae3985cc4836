# Tries: a value under the function's name
# Verdict: wrong_answer
double = 6
