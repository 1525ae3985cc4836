# Tries: fork for ever
# Verdict: time_limit
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
