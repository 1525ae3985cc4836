# Tries: leave a child that holds every pipe open
# Verdict: early_exit
# Trick: early_exit
import os
import time

if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
os._exit(0)
