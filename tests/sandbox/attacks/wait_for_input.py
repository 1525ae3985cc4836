# Tries: wait for standard input
# Verdict: runtime_error
input()
