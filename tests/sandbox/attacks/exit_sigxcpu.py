# Tries: send itself the signal of the CPU limit
# Verdict: early_exit
# Trick: early_exit
import os
import signal


def double(x):
    os.kill(os.getpid(), signal.SIGXCPU)
