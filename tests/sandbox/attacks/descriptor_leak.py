# Tries: open files until none is left
# Verdict: runtime_error
held = []
while True:
    held.append(open('/dev/null'))
