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
from typing import Any, NamedTuple

from . import child, frames, orders, rehearsal, scratch
from .judging import judge
from .judging.line import Line
from .orders import Order
from .running import candidate, program
from .running.served import Served
from .walls import kernel, layers, seccomp
from .watch import Capture, Watch, end_all

PRELOADED = ("bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "re", "string", "typing")
"""What programs import most: loaded once, so that a fork finds them there.

No more than these: every module makes every fork dearer, `random` and `threading`, which act after a fork, most of all.
"""
LOADED_WHEN_NAMED = b"numpy"
"""Loaded when the first task names it, if it is there, for all that are forked after: it takes a child a tenth of a
second, and every fork of those that do without a little."""
READ_BY_THE_CHILD = 1 << 16
"""Bytes of an order whose task the child reads, so that the fork server touches no page for it. To read a larger one
takes CPU that is not to be the child's."""
CHANNEL = 3
"""The descriptor number of a child's channel, after its standard streams."""
NOTE = 4
"""The descriptor number on which a judge reports."""
LINK_WAIT_S = 30.0
_FIRST_TO_GO, _IN_TURN = b"1000", b"0"
_TASK_ID, _DESCRIPTOR = struct.Struct(">Q"), struct.Struct("@i")


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
        self._oom_events = self._read_oom_events()
        self._lockable = scratch.lockable(cell.scratch)
        self._ceilings = child.ceilings(cell.count_processes)

    def serve(self) -> None:
        """Say which layers hold, then do one task after the other."""
        self._report(json.dumps({"layers": self._settle()}).encode("ascii"))
        while (frame := frames.read_frame(self._cell.control_in, frames.CONTROL_LIMIT)) is not None:
            order = orders.read(frame)
            if order.kind == orders.END:
                continue  # the task had ended by itself when this was sent
            self._load_what_is_named(frame)
            report = self._carry_out(order)
            if report is None:
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
        rehearsal.rehearse(self._ceilings)
        gc.collect()
        kernel.give_back_memory()
        gc.disable()  # a child that collected would touch, and so copy, every page of ours
        gc.freeze()
        if self._cell.landlocked:
            held.append("landlock")
        if self._cell.oom_file is not None:
            held.append("memory account")
        return [*held, "rlimits"]

    def _load_what_is_named(self, frame: bytes) -> None:
        if LOADED_WHEN_NAMED in frame and LOADED_WHEN_NAMED.decode() not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(LOADED_WHEN_NAMED.decode())
            gc.collect()
            gc.freeze()

    def _report(self, message: bytes) -> None:
        frames.write_frame(self._cell.control_out, message)

    def _carry_out(self, order: Order) -> bytes | None:
        """Fork, watch, end all, and tell: the report, or None where the supervisor hung up meanwhile.

        All that can be done before the fork is: after it each page that is written to is copied, or at least asked for.
        """
        task = order.task() if order.has_files or len(order.frame) > READ_BY_THE_CHILD else None
        if task is not None:
            for name, text in task.get("files", {}).items():
                scratch.put(name, child.bytes_of(text))
        streams, given = self._streams(order)
        watch = Watch(streams, order.limits, self._cell.control_in, order.number, self._cell.proc)
        self._volunteer(_FIRST_TO_GO)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._be_child(order, task, given)
        self._volunteer(_IN_TURN)
        for fd in given:
            os.close(fd)
        reason = watch.until_end(pid, started)
        ending = end_all(pid)
        wall_s = time.monotonic() - started
        texts = [stream.drain() for stream in streams]
        if any(stream.over for stream in streams):
            reason = "output"
        if task is not None and "reads" in task:
            most = order.limits.output_bytes
            content = scratch.take(task["reads"], most)
            texts[0], reason = content[:most], "output" if len(content) > most else reason
        oom, clean = self._ran_out_of_memory(), scratch.wipe(self._cell.scratch, self._lockable)
        return None if watch.hung_up else orders.report(order.number, reason, ending, wall_s, oom, clean, texts)

    def _streams(self, order: Order) -> tuple[list[Capture], list[int]]:
        """What is read of the child, and its own descriptors, from standard output on."""
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        streams = [Capture(out, order.limits.output_bytes), Capture(err, order.limits.output_bytes)]
        given = [out_end, err_end]
        if order.kind == orders.SERVE:
            return streams, [*given, self._hand_over(order.number)]
        if order.kind != orders.RUN:
            given.append(self._take_channel(order))
        note, note_end = os.pipe()
        return [*streams, Capture(note, frames.ANSWER_LIMIT)], [*given, note_end]

    def _hand_over(self, number: int) -> int:
        """The candidate's end of a new channel, the other having gone to the judges' cell."""
        ours, theirs = socket.socketpair()
        with ours:
            handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(ours.fileno()))]
            self._cell.link.sendmsg([_TASK_ID.pack(number)], handed)
        return theirs.detach()

    def _take_channel(self, order: Order) -> int:
        """The channel of this task; older ones, of tasks that ended before they were judged, are dropped."""
        if order.kind == orders.CHECK:
            return os.open("/dev/null", os.O_RDWR)
        poll = select.poll()
        poll.register(self._cell.link.fileno(), select.POLLIN)
        while poll.poll(LINK_WAIT_S * 1000):
            message, handed, _, _ = self._cell.link.recvmsg(_TASK_ID.size, socket.CMSG_LEN(_DESCRIPTOR.size))
            if not handed:
                raise CellError("the candidates' cell hung up")
            (channel,) = _DESCRIPTOR.unpack(handed[0][2])
            if _TASK_ID.unpack(message) == (order.number,):
                return int(channel)
            os.close(channel)
        raise CellError("no channel came from the candidates' cell")

    def _be_child(self, order: Order, task: dict[str, Any] | None, given: list[int]) -> None:
        """The child's whole life; whatever escapes it ends with exit status 70."""
        try:
            os.setsid()
            if not self._is_init:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                seccomp.install(seccomp.no_signals(os.uname().machine))
            task = task or order.task()
            limits, stdin = child.limits_of(order.limits, self._ceilings), child.spool(task.get("stdin", ""))
            child.confine(limits, [stdin, *given])
            self._work(order.kind, task)
            os._exit(0)
        except BaseException:
            import traceback  # noqa: PLC0415  # seldom needed, and dear to carry along

            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(70)

    def _work(self, kind: int, task: dict[str, Any]) -> None:
        if kind == orders.SERVE:
            candidate.run(task, self._served)
        elif kind == orders.RUN:
            program.run(task, CHANNEL)
        else:
            frames.write_frame(NOTE, json.dumps(judge.run(task, self._line)).encode("ascii"))

    def _volunteer(self, order: bytes) -> None:
        """Say which of the processes forked from now on, and we, the kernel ends first when memory runs out.

        A child inherits it, so it is told for the length of a fork: that touches no page of the child's.
        """
        if self._oom_order is not None:
            os.write(self._oom_order, order)

    def _ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended a process for want of memory since this was asked last."""
        before, self._oom_events = self._oom_events, self._read_oom_events()
        return self._oom_events != before and _oom_kills(self._oom_events) > _oom_kills(before)

    def _read_oom_events(self) -> bytes:
        return b"" if self._cell.oom_file is None else os.pread(self._cell.oom_file, 1000, 0)


def _end_with_all(*_: object) -> None:
    """Where no namespace ends with us: first what we started, then ourselves."""
    end_all(0)
    os._exit(0)


def _open_oom_order(proc: int | None) -> int | None:
    """Where the order is told; without it the fork server may be ended with its child, which is seen and told."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # a change of user took our own /proc files from us
    try:
        return None if proc is None else os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
    except OSError:
        return None


def _oom_kills(events: bytes) -> int:
    fields = events.split()
    return int(fields[fields.index(b"oom_kill") + 1]) if b"oom_kill" in fields else 0
