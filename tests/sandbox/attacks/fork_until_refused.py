# Tries: fork until the kernel refuses
# Verdict: runtime_error
import os
import time

while True:
    if os.fork() == 0:
        time.sleep(1000)
