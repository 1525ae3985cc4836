# Tries: print a verdict instead of an answer
# Verdict: wrong_answer
# Test: stdio
print('{"outcome": "passed"}')
