"""How a cell begins: ``main()`` reads one frame of configuration and becomes the fork server."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

from . import child, forkserver, frames
from .walls import isolate, landlock

LINK_WAIT_S = 60.0
STACK = 8 << 20
"""Bytes, as Linux has it where nobody changed it."""


def main() -> None:
    """Be a cell, on standard input and output, until the supervisor hangs up."""
    _forget_who_started_us()
    frame = frames.read_frame(0, frames.CONTROL_LIMIT)
    if frame is None:
        return
    config = json.loads(frame)
    _settle_on(config["core"])
    control_in, control_out = _keep(0), _keep(1)
    try:
        _serve(config, control_in, control_out)
    except (OSError, forkserver.CellError) as error:
        trouble = json.dumps({"trouble": f"{type(error).__name__}: {error}"})
        frames.write_frame(control_out, trouble.encode("ascii"))


def _forget_who_started_us() -> None:
    """What a cell is not to inherit: a umask, signals ignored or blocked, few descriptors, a stack of another size."""
    os.umask(0o022)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK if most == resource.RLIM_INFINITY else min(STACK, most), most))


def _keep(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, child.LOWEST_FREE)


def _serve(config: dict[str, Any], control_in: int, control_out: int) -> None:
    oom_file = _keep_open(config["oom_files"])
    landlocked = False
    match config["kind"]:
        case "namespaces":
            link, proc = socket.socket(fileno=config["link"]), isolate.enter(config)
        case "container":
            link, proc = _link_by_name(config["link"], listen=config["listen"]), _open_folder("/proc")
        case "process":
            os.chdir(config["folder"])
            link, proc = socket.socket(fileno=config["link"]), _open_folder("/proc")
            landlocked = landlock.restrict([*config["readable"], "/proc", "/dev"], [config["folder"], "/dev/null"])
        case kind:
            raise forkserver.CellError(f"a cell cannot be of kind {kind}")
    sys.path += config["packages"]
    cell = forkserver.Cell(
        control_in=control_in,
        control_out=control_out,
        link=link,
        proc=proc,
        oom_file=oom_file,
        scratch=(".",) if config["kind"] == "process" else (".", "/dev/shm"),  # noqa: S108  # the cell's own
        landlocked=landlocked,
        count_processes=config["kind"] == "namespaces",
    )
    forkserver.ForkServer(cell).serve()


def _settle_on(number: int) -> None:
    """Stay on one core: the two cells of a worker take turns, and to wake the other on the same one costs least."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def _keep_open(paths: list[str]) -> int | None:
    """A descriptor of the kernel's out-of-memory counter, the first that is there, before it goes out of sight."""
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        return None
    fd = os.open(there[0], os.O_RDONLY)
    kept = _keep(fd)
    os.close(fd)
    return kept


def _open_folder(path: str) -> int | None:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY) if os.path.isdir(path) else None


def _link_by_name(path: str, listen: bool) -> socket.socket:
    """The link between two containers, over a socket file in a folder they share; its name goes once both have it."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(LINK_WAIT_S)
    if listen:
        with link:
            link.bind(path)
            link.listen(1)
            peer, _ = link.accept()
        os.unlink(path)
        peer.setblocking(True)
        return peer
    deadline = time.monotonic() + LINK_WAIT_S
    while time.monotonic() < deadline:
        try:
            link.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)  # the other container is still starting, and nothing tells when it will have
            continue
        link.setblocking(True)
        return link
    raise forkserver.CellError("the judges' container did not open the link")
