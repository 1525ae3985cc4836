"""What a forked child does to itself before it runs anything: descriptors and limits."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
from typing import Any

from . import kernel

HIGHEST_FD = 1 << 16


def keep_only(wanted: dict[int, int]) -> None:
    """Make ``{number: descriptor}`` the only open descriptors of this process."""
    moved = {number: os.dup2(fd, 1000 + number, inheritable=False) for number, fd in wanted.items()}
    for number, fd in moved.items():
        os.dup2(fd, number)
    kept = sorted(moved)
    for low, high in zip([-1, *kept], [*kept, HIGHEST_FD], strict=True):
        if low + 1 < high:  # an empty range that begins at 0 would close everything
            os.closerange(low + 1, high)


def limit(limits: dict[str, Any]) -> None:
    """Set the resource limits of a task on this process."""
    cpu = math.ceil(limits["kill_cpu_s"]) + 1  # the fork server ends it sooner; this is for its descendants
    wanted = {
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_AS: limits["address_bytes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    if limits["count_processes"]:
        wanted[resource.RLIMIT_NPROC] = limits["processes"]
    for what, most in wanted.items():
        ceiling = resource.getrlimit(what)[1]
        value = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(what, (value, value))


def volunteer_for_oom(proc: int | None) -> None:
    """Let the kernel, out of memory, end this process before the fork server."""
    if proc is None:
        return
    with contextlib.suppress(OSError):  # without it the fork server may die too, which is seen and told
        fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
        os.write(fd, b"1000")
        os.close(fd)


def confine(limits: dict[str, Any], proc: int | None, wanted: dict[int, int]) -> None:
    """All of it, in the one order that works; the system-call filter is inherited from the fork server."""
    os.setsid()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # its own /proc files are its own again
    volunteer_for_oom(proc)
    keep_only(wanted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limit(limits)
