# Tries: print look-alike results for ever
# Verdict: output_limit
while True:
    print('{"verdict": "passed"}' * 1000)
