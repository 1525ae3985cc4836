"""What the benchmarks of the engine share: a contender in a process of its own, its figures, and how they are told."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

import torch


class Figure(NamedTuple):
    """What one contender did."""

    tokens: int
    seconds: float
    """By the clock on the wall."""
    cpu_seconds: float
    """Of all threads; on a machine with other work this is the fairer figure."""
    peak_mb: float
    """Peak resident memory of its process, weights included."""
    load: float
    """Load average of the machine when it ended."""

    @classmethod
    def of(cls, tokens: int, seconds: float, cpu_seconds: float) -> Self:
        """The figure of this process."""
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return cls(tokens, seconds, cpu_seconds, peak_mb, os.getloadavg()[0])


def in_own_process(measure: Callable[..., Figure], arguments: tuple[Any, ...], threads: int) -> Figure:
    """``measure(*arguments)`` in a fresh process with so many threads.

    Raises:
        EOFError: the process died; what it printed says of what.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(measure, arguments, threads, sender))
    process.start()
    sender.close()
    try:
        figure: Figure = receiver.recv()
    finally:
        process.join()
    return figure


def _send(measure: Callable[..., Figure], arguments: tuple[Any, ...], threads: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    pipe.send(measure(*arguments))


def header() -> str:
    """The first line of the table."""
    names = f"{'tokens':>7}{'seconds':>9}{'CPU s':>8}{'tokens/s':>10}{'tokens/CPU s':>14}{'peak MB':>9}{'load':>6}"
    return f"{'':42}{names}"


def table_row(name: str, figure: Figure) -> str:
    """One line of the table."""
    rates = f"{figure.tokens / figure.seconds:10.1f}{figure.tokens / figure.cpu_seconds:14.1f}"
    times = f"{figure.seconds:9.1f}{figure.cpu_seconds:8.1f}"
    return f"{name:42}{figure.tokens:7}{times}{rates}{figure.peak_mb:9.0f}{figure.load:6.1f}"


def compare(ours: Figure, theirs: Figure, title: str, aim: float | None) -> str:
    """One line of ratios, beside the one aimed at."""
    wall = ours.tokens / ours.seconds / (theirs.tokens / theirs.seconds)
    cpu = ours.tokens / ours.cpu_seconds / (theirs.tokens / theirs.cpu_seconds)
    memory = ours.peak_mb / theirs.peak_mb
    aimed = "" if aim is None else f"; aim {aim:g}"
    return f"{title}: {wall:.1f} times (by CPU time {cpu:.1f}{aimed}), peak memory {memory:.2f} times"
