# Tries: leave from another thread
# Verdict: wrong_answer
import _thread

_thread.start_new_thread(_thread.exit, ())


def double(x):
    return x
