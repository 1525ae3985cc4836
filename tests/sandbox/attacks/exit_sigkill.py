# Tries: kill itself, to look like a kill of the sandbox
# Verdict: early_exit
# Trick: early_exit
import os
import signal


def double(x):
    os.kill(os.getpid(), signal.SIGKILL)
