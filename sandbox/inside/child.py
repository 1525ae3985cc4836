"""What a forked child does to itself before it runs anything: descriptors and limits."""

from __future__ import annotations

import fcntl
import math
import os
import resource
from typing import Any

HIGHEST_FD = 1 << 16


def keep_only(wanted: dict[int, int]) -> None:
    """Make ``{number: descriptor}`` the only open descriptors of this process."""
    moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(wanted) + 1) for number, fd in wanted.items()}
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


def confine(limits: dict[str, Any], wanted: dict[int, int]) -> None:
    """All of it, in the one order that works; what else binds it is inherited from the fork server."""
    os.setsid()
    keep_only(wanted)
    limit(limits)
