"""Which layers of isolation hold in this cell, found out by trying each, not by having asked for it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket

from . import kernel, seccomp

_SOMEWHERE_ELSE = ("192.0.2.1", 9)
"""An address of TEST-NET-1: where there is a route at all, a datagram socket connects to it without a packet sent."""


def before_filter() -> list[str]:
    """The layers that can be tried while system calls are still free."""
    tried = {
        "pid namespace": os.getpid() == 1,
        "no network": _no_network(),
        "read-only root": _read_only_root(),
        "unprivileged user": os.getuid() != 0 and os.geteuid() != 0,
        "no capabilities": kernel.effective_capabilities() == 0,
    }
    return [layer for layer, holds in tried.items() if holds]


def bind() -> list[str]:
    """Install the system-call filter on this process, for good, and try it; the layers it adds."""
    seccomp.install(seccomp.instructions(os.uname().machine))
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        socket.socket()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    blocked = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
    return ["no new privileges", "seccomp"] if blocked else ["no new privileges"]


def _no_network() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        try:
            datagrams.connect(_SOMEWHERE_ELSE)
        except OSError as error:
            return error.errno in (errno.ENETUNREACH, errno.EPERM, errno.EACCES)
    return False


def _read_only_root() -> bool:
    try:
        os.mkdir("/ra3-probe")  # pathlib would hide nothing here
    except OSError as error:
        return error.errno == errno.EROFS
    os.rmdir("/ra3-probe")
    return False
