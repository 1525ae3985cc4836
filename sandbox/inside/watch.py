"""Watching one child to its end: output caps, CPU and idle time, and the facts the kernel tells of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any, NamedTuple

from . import frames
from .walls import kernel

_CHUNK = 1 << 16
_SHORTEST_LOOK, _LONGEST_LOOK = 0.05, 1.0


class Capture:
    """One stream of the child, kept up to a cap."""

    def __init__(self, fd: int, cap: int) -> None:
        self.fd, self._cap = fd, cap
        self.kept = bytearray()
        self.over = False
        self.open = True

    def pull(self) -> None:
        """Read once; notes the end of the stream and an overflow."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return
        self.open = bool(chunk)
        self.over = self.over or len(self.kept) + len(chunk) > self._cap
        self.kept += chunk[: self._cap - len(self.kept)]

    def drain(self) -> None:
        """Take what is left when every writer is dead, and no more than fits."""
        os.set_blocking(self.fd, False)
        while self.open and not self.over:
            before = len(self.kept)
            self.pull()
            if len(self.kept) == before:
                break
        os.close(self.fd)


class Child(NamedTuple):
    """A forked process and the parent's ends of its streams."""

    pid: int
    started: float
    streams: dict[str, Capture]


class Watch:
    """Waits until the child ends, exceeds a limit, or the supervisor says enough."""

    def __init__(
        self, streams: dict[str, Capture], limits: dict[str, Any], control: int, task_id: int, proc: int | None
    ) -> None:
        self._streams = [*streams.values()]
        self._limits, self._control, self._task_id, self._proc = limits, control, task_id, proc
        self._pid, self._started, self._pidfd = 0, 0.0, -1
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        for stream in self._streams:
            os.set_blocking(stream.fd, False)
            self._poll.register(stream.fd, select.POLLIN)
        self._used_cpu, self._spenders = 0.0, 1
        self.hung_up = False
        """The supervisor is gone."""

    def until_end(self, pid: int, started: float) -> str:
        """Why the watch of this process ended: ``exit``, ``stopped``, ``cpu``, ``idle``, ``wall`` or ``output``."""
        self._pid, self._started, self._pidfd = pid, started, os.pidfd_open(pid)
        self._poll.register(self._pidfd, select.POLLIN)
        try:
            look = started + _SHORTEST_LOOK
            while True:
                reason = self._look(max(0.0, look - time.monotonic()))
                if reason is None and time.monotonic() >= look:
                    reason = self._over_limit()
                    look = time.monotonic() + self._next_look()
                if reason is not None:
                    return reason
        finally:
            os.close(self._pidfd)

    def _look(self, seconds: float) -> str | None:
        ready = {fd for fd, _ in self._poll.poll(seconds * 1000)}
        for stream in self._streams:
            if stream.fd in ready:
                self._pull(stream)
                if stream.over:
                    return "output"
        if self._pidfd in ready:
            return "exit"  # before a word to stop, which may be the judge's answer to this very end
        return "stopped" if self._control in ready and self._told_to_stop() else None

    def _pull(self, stream: Capture) -> None:
        stream.pull()
        if not stream.open:
            self._poll.unregister(stream.fd)

    def _told_to_stop(self) -> bool:
        frame = frames.read_frame(self._control, frames.CONTROL_LIMIT)
        self.hung_up = frame is None
        return frame is None or json.loads(frame).get("end") == self._task_id

    def _next_look(self) -> float:
        """No process uses CPU faster than time passes: no need to look any sooner."""
        left: float = (self._limits["kill_cpu_s"] - self._used_cpu) / self._spenders
        return min(max(left, _SHORTEST_LOOK), _LONGEST_LOOK)

    def _over_limit(self) -> str | None:
        processes = self._processes()
        self._used_cpu = sum(kernel.cpu_seconds(pid) for pid in processes)
        self._spenders = max(1, len(processes))
        if self._used_cpu >= self._limits["kill_cpu_s"]:
            return "cpu"
        wall = time.monotonic() - self._started
        if wall >= self._limits["wall_s"]:
            return "wall"
        if wall >= self._limits["idle_s"] and wall - self._wanted_cpu() >= self._limits["idle_s"]:
            return "idle"
        return None

    def _processes(self) -> list[int]:
        """The child and, where a /proc shows them, all that came of it."""
        if self._proc is None or os.getpid() != 1:
            return [self._pid]
        return [int(name) for name in _names_in(self._proc) if name.isdecimal() and name != "1"]

    def _wanted_cpu(self) -> float:
        """Seconds that the child's processes ran or stood in the scheduler's queue: the rest they slept.

        Where no /proc tells, they are taken to be never idle, and ``wall_s`` decides alone.
        """
        if self._proc is None:
            return float("inf")
        return sum(_scheduled(self._proc, pid) for pid in self._processes())


def _names_in(folder: int) -> list[str]:
    return os.listdir(folder)  # which pathlib does not take


def _scheduled(proc: int, pid: int) -> float:
    """Over all threads of a process, those that have ended left out."""
    try:
        threads = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    except OSError:
        return 0.0
    try:
        return sum(_scheduled_thread(threads, thread) for thread in _names_in(threads))
    finally:
        os.close(threads)


def _scheduled_thread(threads: int, thread: str) -> float:
    try:
        fd = os.open(f"{thread}/schedstat", os.O_RDONLY, dir_fd=threads)
    except OSError:
        return 0.0
    try:
        on_cpu, queued, _ = os.read(fd, 100).split()
    except (OSError, ValueError):
        return 0.0
    finally:
        os.close(fd)
    return (int(on_cpu) + int(queued)) / 1e9


class Ending:
    """What the kernel said when the child and all it left behind were reaped."""

    def __init__(self) -> None:
        self.status = 0
        self.cpu_s = 0.0
        self.peak_mb = 0.0
        self.others = 0
        """Processes the child left behind."""
        self.blocked = False
        """One of them was ended by the system-call filter."""


def _strike() -> None:
    own = os.getpid()
    for victim in [-1] if own == 1 else _children(own):
        with contextlib.suppress(ProcessLookupError):  # it had ended
            os.kill(victim, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    fd = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY)
    try:
        return [int(child) for child in os.read(fd, _CHUNK).split()]
    finally:
        os.close(fd)


def end_all(child: Child) -> Ending:
    """Kill the child and every process it left, reap them all.

    As init of a pid namespace a signal to -1 reaches all and only them. Elsewhere the fork server adopts the orphans
    of its children, and strikes at its children until there are none.
    """
    ending = Ending()
    while True:
        _strike()
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return ending
        ending.cpu_s += usage.ru_utime + usage.ru_stime
        ending.peak_mb = max(ending.peak_mb, usage.ru_maxrss / 1024)
        ending.blocked = ending.blocked or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS)
        if pid == child.pid:
            ending.status = status
        else:
            ending.others += 1
