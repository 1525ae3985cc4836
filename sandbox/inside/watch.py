"""Watching one child to its end: output caps, CPU and idle time, and the facts the kernel tells of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from . import frames, orders
from .walls import kernel

_CHUNK = 1 << 16
_SHORTEST_LOOK, _LONGEST_LOOK = 0.05, 1.0
_UNHEARD_MS = 20.0
"""Most runs are over by then, and what they wrote is read at their end: sooner, each word of theirs and the end of each
stream would wake the fork server. A pipe holds 64 KB; what writes more waits until it is heard."""


class Capture:
    """One stream of the child, kept up to a cap."""

    def __init__(self, fd: int, cap: int) -> None:
        os.set_blocking(fd, False)  # the child can open its end to read as well, and take what we were told of
        self.fd, self._room = fd, cap
        self._chunks: list[bytes] = []
        self.over = False
        self.open = True

    def pull(self) -> bool:
        """Read once, and note the end of the stream or an overflow; False where there is nothing to read."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        self.open = bool(chunk)
        self.over = self.over or len(chunk) > self._room
        self._chunks.append(chunk[: self._room])
        self._room -= len(self._chunks[-1])
        return True

    def drain(self) -> bytes:
        """Take what is left when every writer is dead, and no more than fits: all that was kept."""
        while self.open and not self.over and self.pull():
            pass
        os.close(self.fd)
        return b"".join(self._chunks)


class Watch:
    """Waits until the child ends, exceeds a limit, or the supervisor says enough."""

    def __init__(
        self, streams: list[Capture], limits: orders.Limits, control: int, task: int, proc: int | None
    ) -> None:
        self._streams = streams
        self._limits, self._control, self._task, self._proc = limits, control, task, proc
        self._pid, self._started, self._ended = 0, 0.0, -1
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._used_cpu, self._spenders = 0.0, 1
        self.hung_up = False
        """The supervisor is gone."""

    def until_end(self, pid: int, started: float) -> str:
        """Why the watch of this process ended: ``exit``, ``stopped``, ``cpu``, ``idle``, ``wall`` or ``output``."""
        self._pid, self._started, self._ended = pid, started, os.pidfd_open(pid)
        self._poll.register(self._ended, select.POLLIN)
        reason = self._look(_UNHEARD_MS)
        if reason is None:
            self._listen()
        look = started + _SHORTEST_LOOK
        while reason is None:
            reason = self._look(max(0.0, look - time.monotonic()) * 1000)
            if reason is None and time.monotonic() >= look:
                reason = self._over_limit()
                look = time.monotonic() + self._next_look()
        os.close(self._ended)
        return reason

    def _listen(self) -> None:
        for stream in self._streams:
            self._poll.register(stream.fd, select.POLLIN)

    def _look(self, milliseconds: float) -> str | None:
        ready = dict(self._poll.poll(milliseconds))
        if self._ended in ready:  # before a word to stop, which may be the judge's answer to this very end
            return "exit"
        return self._see_to(ready) if ready else None

    def _see_to(self, ready: dict[int, int]) -> str | None:
        for stream in self._streams:
            if stream.fd in ready:
                stream.pull()
                if not stream.open:
                    self._poll.unregister(stream.fd)
                if stream.over:
                    return "output"
        return "stopped" if self._control in ready and self._told_to_stop() else None

    def _told_to_stop(self) -> bool:
        frame = frames.read_frame(self._control, frames.CONTROL_LIMIT)
        self.hung_up = frame is None
        return frame is None or frame == orders.end(self._task)

    def _next_look(self) -> float:
        """No process uses CPU faster than time passes: no need to look any sooner."""
        left: float = (self._limits.kill_cpu_s - self._used_cpu) / self._spenders
        return min(max(left, _SHORTEST_LOOK), _LONGEST_LOOK)

    def _over_limit(self) -> str | None:
        processes = self._processes()
        self._used_cpu = sum(kernel.cpu_seconds(pid) for pid in processes)
        self._spenders = max(1, len(processes))
        if self._used_cpu >= self._limits.kill_cpu_s:
            return "cpu"
        wall = time.monotonic() - self._started
        if wall >= self._limits.wall_s:
            return "wall"
        if wall >= self._limits.idle_s and wall - self._wanted_cpu() >= self._limits.idle_s:
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


def end_all(child: int) -> orders.Ending:
    """Kill the child and every process it left, reap them all.

    As init of a pid namespace a signal to -1 reaches all and only them. Elsewhere the fork server adopts the orphans
    of its children, and strikes at its children until there are none.
    """
    status = others = peak_kb = 0
    cpu_s, blocked = 0.0, False
    while _strike():
        try:
            pid, how, usage = os.wait4(-1, 0)
        except ChildProcessError:  # it was another's
            break
        cpu_s += usage.ru_utime + usage.ru_stime
        peak_kb = max(peak_kb, usage.ru_maxrss)
        blocked = blocked or os.WTERMSIG(how) == signal.SIGSYS
        if pid == child:
            status = how
        else:
            others += 1
    return orders.Ending(status, cpu_s, peak_kb / 1024, others, blocked)


def _strike() -> bool:
    """Kill all that is there; whether anything was, if only to be reaped."""
    own, struck = os.getpid(), False
    for victim in [-1] if own == 1 else _children(own):
        with contextlib.suppress(ProcessLookupError):  # it had ended
            os.kill(victim, signal.SIGKILL)
            struck = True
    return struck


def _children(pid: int) -> list[int]:
    fd = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY)
    try:
        return [int(child) for child in os.read(fd, _CHUNK).split()]
    finally:
        os.close(fd)
