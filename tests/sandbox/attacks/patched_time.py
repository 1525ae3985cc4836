# Tries: stop the clock
# Verdict: time_limit
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0


def double(x):
    while True:
        pass
