"""What a forked child does to itself before it runs anything: descriptors and limits."""

from __future__ import annotations

import math
import os
import resource

from .orders import Limits

LOWEST_FREE = 10
"""Descriptors of the fork server are no lower: those below are for children."""
HIGHEST_FD = 1 << 16


def occupy_low_descriptors() -> None:
    """So that what the fork server opens from now on stands in no child's way."""
    while (fd := os.open("/dev/null", os.O_RDWR)) < LOWEST_FREE:
        pass
    os.close(fd)


def ceilings(count_processes: bool) -> dict[int, int]:
    """The resources that are limited, and the most of each that this process itself may have."""
    limited = [resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE]
    limited += [resource.RLIMIT_CORE, *([resource.RLIMIT_NPROC] if count_processes else [])]
    return {what: resource.getrlimit(what)[1] for what in limited}


def limits_of(limits: Limits, ceilings: dict[int, int]) -> list[tuple[int, int]]:
    """The resource limits of a task, none over its ceiling."""
    wanted = {
        resource.RLIMIT_CPU: math.ceil(limits.kill_cpu_s) + 1,  # the fork server ends it sooner; its descendants too
        resource.RLIMIT_AS: limits.address_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: limits.processes,
    }
    return [
        (what, wanted[what] if most == resource.RLIM_INFINITY else min(wanted[what], most))
        for what, most in ceilings.items()
    ]


def spool(text: str) -> int:
    """A descriptor from which the text can be read, sealed in memory."""
    if not text:
        return os.open("/dev/null", os.O_RDONLY)
    fd = os.memfd_create("stdin")
    with os.fdopen(os.dup(fd), "wb") as writable:
        writable.write(bytes_of(text))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def bytes_of(text: str) -> bytes:
    """As UTF-8; half a character stands for the byte that Python reads as it, else for itself."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def confine(limits: list[tuple[int, int]], given: list[int], highest: int = HIGHEST_FD) -> None:
    """Leave the descriptors ``given`` alone open, numbered from 0, and set the limits, in the one order that works.

    What else binds it is inherited from the fork server.
    """
    for number, fd in enumerate(given):
        os.dup2(fd, number)
    os.closerange(len(given), highest)
    for what, most in limits:
        resource.setrlimit(what, (most, most))
