# Tries: one file of a terabyte
# Verdict: runtime_error
with open('file', 'wb') as file:
    file.truncate(1 << 40)
