# Tries: end by an alarm of its own
# Verdict: early_exit
# Trick: early_exit
import signal
import time

signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(1)
