# Tries: never come to be ready
# Verdict: time_limit
import time

time.sleep(1000)
