# Tries: nothing: a thread that spins beside a right answer
# Verdict: passed
import threading

threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()


def double(x):
    return x * 2 if not isinstance(x, list) else x + x
