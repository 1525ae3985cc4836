# Tries: print for ever
# Verdict: output_limit
# Test: stdio
while True:
    print(6)
