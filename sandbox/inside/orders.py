"""What supervisor and fork server tell each other of a task, in fields of fixed places.

A page of memory that a fork server touches between two forks is copied by the kernel, and to read JSON or to write it
touches forty. So what the fork server needs of an order stands in front of the task itself, which is for the child to
read, and a report is packed.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from . import frames
from .protocol.wire import dumps, parse

SERVE, RUN, JUDGE, CHECK, END = range(5)
"""Be asked for a program's objects; run a program whole; judge the candidate of the same number; judge an output, with
no candidate to speak to; end that task, should it still run."""
REASONS = ("exit", "stopped", "cpu", "idle", "wall", "output")
"""Why a run was over: by itself, told so, or over a limit."""
_ORDER = struct.Struct(">BQ3d5Q?")
_REPORT = struct.Struct(">QB?i3dI??2I")


class Limits(NamedTuple):
    """Of one run: seconds of CPU, asleep, and by the clock; bytes; how many processes and open files."""

    kill_cpu_s: float
    idle_s: float
    wall_s: float
    address_bytes: int
    output_bytes: int
    processes: int
    open_files: int
    file_bytes: int


_NO_LIMITS = Limits(0.0, 0.0, 0.0, 0, 0, 0, 0, 0)


class Order(NamedTuple):
    """What a fork server knows of a task without having read it."""

    kind: int
    number: int
    limits: Limits
    has_files: bool
    """Whether there are files to be put in its way, or one to be read when it is over."""
    frame: bytes

    def task(self) -> dict[str, Any]:
        """The task itself."""
        task: dict[str, Any] = parse(self.frame[_ORDER.size :])
        return task


def end(number: int) -> bytes:
    """The order to end a task."""
    return _ORDER.pack(END, number, *_NO_LIMITS, False)


def order(kind: int, number: int, limits: Limits, task: dict[str, Any]) -> bytes:
    """An order with its task."""
    return _ORDER.pack(kind, number, *limits, "files" in task or "reads" in task) + dumps(task)


def read(frame: bytes) -> Order:
    """The order in a frame."""
    kind, number, *limits, has_files = _ORDER.unpack_from(frame)
    return Order(kind, number, Limits(*limits), has_files, frame)


class Ending(NamedTuple):
    """What the kernel said when the child and all it left behind were reaped."""

    status: int
    cpu_s: float
    peak_mb: float
    others: int
    """Processes the child left behind."""
    blocked: bool
    """One of them was ended by the system-call filter."""


def report(
    number: int, reason: str, ending: Ending, wall_s: float, oom: bool, clean: bool, texts: list[bytes]
) -> bytes:
    """What became of a task; ``texts`` are its standard output, its standard error and, where it has one, its note."""
    status, cpu_s, peak_mb, others, blocked = ending
    facts = number, REASONS.index(reason), blocked, status, cpu_s, wall_s, peak_mb, others, oom, clean
    return b"".join([_REPORT.pack(*facts, len(texts[0]), len(texts[1])), *texts])


def read_report(frame: bytes) -> dict[str, Any]:
    """A report's facts by name, and every byte of its texts."""
    number, reason, blocked, status, cpu_s, wall_s, peak_mb, others, oom, clean, out, err = _REPORT.unpack_from(frame)
    err_at = _REPORT.size + out
    note_at = err_at + err
    return {
        "id": number,
        "reason": REASONS[reason],
        "status": status,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "peak_mb": peak_mb,
        "others": others,
        "blocked": blocked,
        "oom": oom,
        "clean": clean,
        "stdout": frame[_REPORT.size : err_at].decode("utf-8", "surrogateescape"),
        "stderr": frame[err_at:note_at].decode("utf-8", "surrogateescape"),
        "note": frame[note_at + frames.HEADER.size :].decode("utf-8", "replace"),
    }
