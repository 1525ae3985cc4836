"""What a forked child does to itself before it runs anything: descriptors and limits.

Whatever can be found out before the fork is: a page of memory that the child touches is copied for it.
"""

from __future__ import annotations

import math
import os
import resource
from typing import Any

LOWEST_FREE = 10
"""Descriptors of the fork server are no lower: those below are for children."""
HIGHEST_FD = 1 << 16


def occupy_low_descriptors() -> None:
    """So that what the fork server opens from now on stands in no child's way."""
    while (fd := os.open("/dev/null", os.O_RDWR)) < LOWEST_FREE:
        pass
    os.close(fd)


def limits_of(limits: dict[str, Any]) -> list[tuple[int, int]]:
    """The resource limits of a task, none over what this process itself has."""
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
    ceilings = {what: resource.getrlimit(what)[1] for what in wanted}
    return [
        (what, most if ceilings[what] == resource.RLIM_INFINITY else min(most, ceilings[what]))
        for what, most in wanted.items()
    ]


def confine(limits: list[tuple[int, int]], given: list[int]) -> None:
    """Leave the descriptors ``given`` alone open, numbered from 0, and set the limits, in the one order that works.

    What else binds it is inherited from the fork server.
    """
    os.setsid()
    for number, fd in enumerate(given):
        os.dup2(fd, number)
    os.closerange(len(given), HIGHEST_FD)
    for what, most in limits:
        resource.setrlimit(what, (most, most))
