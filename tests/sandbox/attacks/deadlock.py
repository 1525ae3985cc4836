# Tries: wait for itself
# Verdict: time_limit
import threading

lock = threading.Lock()


def double(x):
    lock.acquire()
    lock.acquire()
