"""The fork server: the first process of a cell. It forks a child a task, watches it, and reports facts.

It speaks frames with the supervisor on its standard input and output. A cell holds candidates or judges, never both;
the two fork servers of a worker share one link, over which the candidates' one hands the other end of each task's
channel. That link is closed in every child.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from . import child, frames, rehearsal, scratch
from .judging import judge
from .judging.line import Line
from .protocol.wire import parse
from .running import candidate, program
from .running.served import Served
from .walls import kernel, layers, seccomp
from .watch import Capture, Child, Watch, end_all

PRELOADED = ("bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "re", "string", "typing")
"""What programs import most: loaded once, so that a fork finds them there.

No more than these: every module makes every fork dearer, `random` and `threading`, which act after a fork, most of all.
"""
LOADED_WHEN_NAMED = "numpy"
"""Loaded when the first source names it, if it is there, for all that are forked after: it takes a child a tenth of a
second, and every fork of those that do without a little."""
CHANNEL = 3
"""The descriptor number of a child's channel, after its standard streams."""
NOTE = 4
"""The descriptor number on which a judge reports."""
LINK_WAIT_S = 30.0
_FIRST_TO_GO, _IN_TURN = b"1000", b"0"
_TASK_ID = struct.Struct(">Q")


class CellError(Exception):
    """The cell cannot do what was asked; told to the supervisor, who ends the cell."""


class Cell(NamedTuple):
    """What the cell has to work with, handed over by whatever made it."""

    control_in: int
    control_out: int
    link: socket.socket
    proc: int | None
    """A descriptor of a /proc of this pid namespace, where there is one."""
    oom_file: int | None
    """A descriptor of the file in which the kernel counts what it ended for want of memory, where there is one."""
    scratch: tuple[str, ...]
    """The folders that can be written, the working one first."""
    landlocked: bool
    """Whether Landlock bounds what it can read and write."""
    count_processes: bool
    """Whether RLIMIT_NPROC counts this cell alone."""


class ForkServer:
    """Serves tasks until the supervisor hangs up."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._served, self._line = Served(CHANNEL), Line(CHANNEL)  # as every child that is forked has them
        self._is_init = os.getpid() == 1
        self._oom_order: int | None = None

    def serve(self) -> None:
        """Say which layers hold, then do one task after the other."""
        self._report({"layers": self._settle()})
        while (frame := frames.read_frame(self._cell.control_in, frames.CONTROL_LIMIT)) is not None:
            task = parse(frame)
            if "end" in task:
                continue  # the task had ended by itself when this was sent
            self._load_what_is_named(task["test"].get("source", "") if "test" in task else task["program"])
            report, hung_up = self._judge(task) if "test" in task else self._run(task)
            if hung_up:
                return
            self._report(report)

    def _settle(self) -> list[str]:
        """Make the process a fork server, bound like what it will fork; the layers that hold."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as init it cannot be interrupted then
        child.occupy_low_descriptors()
        if not self._is_init:
            signal.signal(signal.SIGTERM, _end_with_all)
        self._oom_order = _open_oom_order(self._cell.proc)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # nor are those we fork: their /proc files are root's
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        for name in PRELOADED:
            importlib.import_module(name)
        held = layers.before_filter()
        held += layers.bind()  # once, for ourselves and all we fork: the kernel compiles the filter each time
        rehearsal.rehearse()
        gc.collect()
        kernel.give_back_memory()
        gc.disable()  # a child that collected would touch, and so copy, every page of ours
        gc.freeze()
        if self._cell.landlocked:
            held.append("landlock")
        if self._cell.oom_file is not None:
            held.append("memory account")
        return [*held, "rlimits"]

    def _load_what_is_named(self, source: str) -> None:
        if LOADED_WHEN_NAMED in source and LOADED_WHEN_NAMED not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(LOADED_WHEN_NAMED)
            gc.collect()
            gc.freeze()

    def _report(self, message: dict[str, Any]) -> None:
        frames.write_frame(self._cell.control_out, json.dumps(message).encode("ascii"))

    def _run(self, task: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """One run of a candidate; its channel goes to the judge when it is to serve calls."""
        ours, theirs = socket.socketpair()
        serves, streams = task["mode"] == "serve", {}
        if serves:
            self._hand_over(ours, task["id"])
            ours.close()
        else:
            streams["note"] = ours.detach()
        body = partial(candidate.run, task, self._served) if serves else partial(program.run, task, CHANNEL)
        for name, text in task.get("files", {}).items():
            scratch.put(name, _bytes_of(text))
        with theirs:
            return self._fork(task, streams, [theirs.fileno()], body)

    def _hand_over(self, channel: socket.socket, task_id: int) -> None:
        socket.send_fds(self._cell.link, [_TASK_ID.pack(task_id)], [channel.fileno()])

    def _judge(self, task: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """One judgement, over the channel of the candidate with the same task number (a checker has none)."""
        ours, theirs = socket.socketpair()
        channel = self._take_channel(task["id"]) if task["linked"] else os.open("/dev/null", os.O_RDWR)

        def body() -> None:
            note = judge.run(task, self._line)
            frames.write_frame(NOTE, json.dumps(note).encode("ascii"))

        with theirs:
            try:
                return self._fork(task, {"note": ours.detach()}, [channel, theirs.fileno()], body)
            finally:
                os.close(channel)

    def _take_channel(self, task_id: int) -> int:
        """The channel of this task; older ones, of tasks that ended before they were judged, are dropped."""
        poll = select.poll()
        poll.register(self._cell.link.fileno(), select.POLLIN)
        while poll.poll(LINK_WAIT_S * 1000):
            message, descriptors, _, _ = socket.recv_fds(self._cell.link, _TASK_ID.size, 1)
            if not descriptors:
                raise CellError("the candidates' cell hung up")
            if _TASK_ID.unpack(message) == (task_id,):
                return descriptors[0]
            os.close(descriptors[0])
        raise CellError("no channel came from the candidates' cell")

    def _fork(
        self,
        task: dict[str, Any],
        notes: dict[str, int],
        given: list[int],
        body: Callable[[], None],
    ) -> tuple[dict[str, Any], bool]:
        """Fork, watch, end all, and tell: the report, and whether the supervisor hung up meanwhile."""
        limits = task["limits"] | {"count_processes": self._cell.count_processes}
        confined = child.limits_of(limits)
        stdin = _spool(task.get("stdin", ""))
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        read = {"stdout": out, "stderr": err} | notes
        streams = {name: Capture(fd, _cap(name, limits)) for name, fd in read.items()}
        watch = Watch(streams, limits, self._cell.control_in, task["id"], self._cell.proc)  # a fork makes it dearer
        oom_before = self._oom_kills()
        self._volunteer(_FIRST_TO_GO)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._be_child(confined, [stdin, out_end, err_end, *given], body)
        self._volunteer(_IN_TURN)
        for fd in (stdin, out_end, err_end):
            os.close(fd)
        report, hung_up = self._see_to_end(Child(pid, started, streams), watch, task["id"])
        if "reads" in task:
            report |= _written(task["reads"], limits["output_bytes"])
        return report | {"oom": self._oom_kills() > oom_before, "clean": scratch.wipe(self._cell.scratch)}, hung_up

    def _be_child(self, limits: list[tuple[int, int]], given: list[int], body: Callable[[], None]) -> None:
        """The child's whole life; whatever escapes it ends with exit status 70."""
        try:
            child.confine(limits, given)
            if not self._is_init:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                seccomp.install(seccomp.no_signals(os.uname().machine))
            body()
            os._exit(0)
        except BaseException:
            import traceback  # noqa: PLC0415  # seldom needed, and dear to carry along

            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(70)

    def _volunteer(self, order: bytes) -> None:
        """Say which of the processes forked from now on, and we, the kernel ends first when memory runs out.

        A child inherits it, so it is told for the length of a fork: that touches no page of the child's.
        """
        if self._oom_order is not None:
            os.write(self._oom_order, order)

    def _see_to_end(self, forked: Child, watch: Watch, task_id: int) -> tuple[dict[str, Any], bool]:
        reason = watch.until_end(forked.pid, forked.started)
        ending = end_all(forked)
        wall = time.monotonic() - forked.started
        for stream in forked.streams.values():
            stream.drain()
        if any(stream.over for stream in forked.streams.values()):
            reason = "output"
        kept = {name: bytes(stream.kept) for name, stream in forked.streams.items()}
        note = kept.pop("note", b"")[frames.HEADER.size :]
        texts = {name: text.decode("utf-8", "surrogateescape") for name, text in kept.items()}  # every byte is told
        report = vars(ending) | texts | {"id": task_id, "reason": reason, "wall_s": wall}
        return report | {"note": note.decode("utf-8", "replace")}, watch.hung_up

    def _oom_kills(self) -> int:
        if self._cell.oom_file is None:
            return 0
        fields = os.pread(self._cell.oom_file, 1000, 0).split()
        return int(fields[fields.index(b"oom_kill") + 1]) if b"oom_kill" in fields else 0


def _end_with_all(*_: object) -> None:
    """Where no namespace ends with us: first what we started, then ourselves."""
    end_all(Child(0, 0.0, {}))
    os._exit(0)


def _open_oom_order(proc: int | None) -> int | None:
    """Where the order is told; without it the fork server may be ended with its child, which is seen and told."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # a change of user took our own /proc files from us
    try:
        return None if proc is None else os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
    except OSError:
        return None


def _written(name: str, most: int) -> dict[str, Any]:
    """What a run left in a file, in place of what it printed; too much of it is too much output."""
    content = scratch.take(name, most)
    over = {"reason": "output"} if len(content) > most else {}
    return {"stdout": content[:most].decode("utf-8", "surrogateescape")} | over


def _cap(stream: str, limits: dict[str, Any]) -> int:
    return frames.ANSWER_LIMIT if stream == "note" else int(limits["output_bytes"])


def _spool(text: str) -> int:
    """A descriptor from which the text can be read, sealed in memory."""
    if not text:
        return os.open("/dev/null", os.O_RDONLY)
    fd = os.memfd_create("stdin")
    with os.fdopen(os.dup(fd), "wb") as writable:
        writable.write(_bytes_of(text))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _bytes_of(text: str) -> bytes:
    """As UTF-8; half a character stands for the byte that Python reads as it, else for itself."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
