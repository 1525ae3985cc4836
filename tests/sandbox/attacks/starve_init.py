# Tries: take the fork server's time and descriptors
# Verdict: passed
import os
import resource

for starve in (
    lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)),
    lambda: resource.prlimit(1, resource.RLIMIT_CPU, (1, 1)),
    lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19),
    lambda: os.sched_setaffinity(1, {0}),
    lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
):
    try:
        starve()
    except OSError:
        continue
    raise RuntimeError("the fork server could be starved")


def double(x):
    return x + x
