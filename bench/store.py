"""One home under load: many runs that write, many readers, and requests from outside, each in a process of its own.

    python bench/store.py [--minutes M] [--writers N] [--readers N] [--home FOLDER]

A writer does what a run does: metrics, samples, traces, events, phases, progress, heartbeats, a look at the requests;
every half minute it ends and is resumed. A reader does what the dashboard, ``ra3 tail`` and ``ra3 ls`` do; every other
one opens the store anew each time. Ends with exit code 1 where anything failed, a run seemed lost, or a row is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from engine.store.connection import connect, database_path
from engine.store.reader import Reader
from engine.store.requests import request
from engine.store.writer import Writer

UPDATES_A_SECOND = 10.0
"""Of a run; a fast one, of a small model on a GPU."""
SESSION_SECONDS = 30.0
POLL_SECONDS = 0.5
REQUEST_SECONDS = 0.2
KEYS = tuple(f"estep/figure_{number}" for number in range(16))
CODE = "\n    return sorted(values, key=lambda value: (value.rank, value.name))[:limit]"
COUNTED = ("metrics", "samples", "traces", "trace_lines", "events")


T = TypeVar("T")


@dataclass(slots=True)
class Figures:
    """What one process did."""

    rows: int = 0
    """Written, or read."""
    calls: int = 0
    slowest: float = 0.0
    """Seconds of its longest call."""
    slowest_kind: str = ""
    errors: list[str] = field(default_factory=list)

    def timed(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """What ``call`` gives, its time noted."""
        begin = time.monotonic()
        result = call(*arguments, **named)
        seconds = time.monotonic() - begin
        self.calls += 1
        if seconds > self.slowest:
            self.slowest, self.slowest_kind = seconds, call.__name__
        return result


def write(home: Path, number: int, deadline: float, figures: Figures) -> None:
    """One run, through several sessions."""
    run, step, session = f"run{number}", 0, 0
    with Writer(home, run) as writer:
        columns = {
            "group": "load",
            "name": "load",
            "arm": f"arm{number}",
            "seed": number,
            "folder": run,
            "config": "{}",
        }
        columns |= {"host": os.uname().nodename, "pid": os.getpid(), "started": time.time()}
        figures.timed(writer.create_run, status="running", **columns)
    while time.monotonic() < deadline:
        with Writer(home, run) as writer:
            writer.step = step
            figures.timed(writer.forget_after, step, session)
            figures.timed(writer.stage, session, "ra3", status="running")
            figures.timed(writer.phase, "estep", session, session)
            end = min(deadline, time.monotonic() + SESSION_SECONDS)
            while time.monotonic() < end:
                begin = time.monotonic()
                step += 1
                update(writer, step, figures)
                time.sleep(max(0.0, 1 / UPDATES_A_SECOND - (time.monotonic() - begin)))
            figures.timed(writer.stage, session, "ra3", status="done", seconds=1.0)
            figures.timed(writer.flush)
        session += 1


def update(writer: Writer, step: int, figures: Figures) -> None:
    """What is written of one update."""
    writer.step = step
    figures.timed(writer.metrics, {key: random.random() for key in KEYS})
    for sample in range(4):
        figures.timed(writer.add, "samples", sample_row(step, sample))
    figures.rows += len(KEYS) + 4
    if step % 5 == 0:
        lines = [line_row() for _ in range(20)]
        figures.timed(writer.trace, trace_row(step), lines)
        figures.rows += 1 + len(lines)
        figures.timed(writer.update_run, step=step, progress=0.5, stage="E-step 1/2")
        for asked in figures.timed(writer.requests):
            figures.timed(writer.take, asked["id"], step)
            figures.timed(writer.event, "control", f"step {step}: taken")
            figures.rows += 1


def sample_row(step: int, sample: int) -> dict[str, Any]:
    """A judged sample."""
    return {
        "step": step, "phase": "rlvr", "position": 0, "suite": "mbpp", "task": f"MBPP/{step % 500}", "sample": sample,
        "text": CODE * 4, "tokens": 80, "stop": "eos", "verdict": "passed", "reward": 1.0,
    }  # fmt: skip


def trace_row(step: int) -> dict[str, Any]:
    """An annotated trace."""
    return {
        "step": step, "phase": "estep", "round": 0, "trace": "t", "source": "a.py:1 f", "rollout": 0,
        "prompt": "def f():", "text": CODE * 20, "lines": 20, "latents": 4, "bound": -9.0, "bare": -9.5,
    }  # fmt: skip


def line_row() -> dict[str, Any]:
    """A line of a trace."""
    figures = {"tokens": 20, "logprob": -0.4, "bare_logprob": -0.5, "p_think": 0.3, "reward": -0.45, "advantage": 0.1}
    return {"text": CODE, "latent": " the best ones first", **figures}


def read(home: Path, number: int, deadline: float, figures: Figures) -> None:
    """Someone who watches; one of an even number keeps the store open."""
    cursors: dict[str, dict[str, int]] = {"events": {}, "traces": {}, "samples": {}}
    kept = Reader(home) if number % 2 == 0 else None
    while time.monotonic() < deadline:
        begin = time.monotonic()
        reader = kept or figures.timed(Reader, home)
        look(reader, cursors, figures)
        if kept is None:
            reader.close()
        time.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - begin)))
    if kept is not None:
        kept.close()


def look(reader: Reader, cursors: dict[str, dict[str, int]], figures: Figures) -> None:
    """One look at every run."""
    runs = figures.timed(reader.runs)
    figures.errors += [f"{run['id']} seemed lost" for run in runs if run["status"] == "lost"]
    for run in (run["id"] for run in runs):
        figures.rows += len(figures.timed(reader.latest, run))
        figures.rows += len(figures.timed(reader.series, run, KEYS[0]))
        for table, behind in cursors.items():
            rows = figures.timed(getattr(reader, table), run, behind.get(run, 0))
            behind[run] = rows[-1]["id"] if rows else behind.get(run, 0)
            figures.rows += len(rows)
    figures.timed(reader.comparison, "load")


def ask(home: Path, writers: int, deadline: float, figures: Figures) -> None:
    """People who ask things of the runs."""
    while time.monotonic() < deadline:
        run = f"run{random.randrange(writers)}"
        figures.timed(request, home, run, "set", "somebody", "ra3.penalty", 0.1)
        figures.rows += 1
        time.sleep(REQUEST_SECONDS)


def at_work(work: Callable[[Path, int, float, Figures], None], home: Path, number: int, pipe: Connection) -> None:
    """``work`` in this process until the deadline that comes through ``pipe``; its figures go back through it."""
    figures = Figures()
    pipe.send(None)  # up
    try:
        work(home, number, pipe.recv(), figures)
    except Exception:  # whatever it is, it is what this measures
        figures.errors.append(traceback.format_exc())
    pipe.send(figures)


def measure(home: Path, seconds: float, writers: int, readers: int) -> tuple[dict[str, list[Figures]], int]:
    """The figures of every process by kind, and the most bytes that the WAL held."""
    kinds = [("write", write, n) for n in range(writers)] + [("read", read, n) for n in range(readers)]
    context = multiprocessing.get_context("spawn")
    pipes = []
    connect(home, write=True).conn.close()  # readers need one
    for kind, work, number in [*kinds, ("ask", ask, writers)]:
        ours, theirs = context.Pipe()
        context.Process(target=at_work, args=(work, home, number, theirs), daemon=True).start()
        ours.recv()
        pipes.append((kind, ours))
    deadline = time.monotonic() + seconds  # one clock for all processes of a machine
    for _, pipe in pipes:
        pipe.send(deadline)
    wal = 0
    while time.monotonic() < deadline:
        time.sleep(1.0)
        wal = max(wal, wal_bytes(home))
    figures: dict[str, list[Figures]] = {"write": [], "read": [], "ask": []}
    for kind, pipe in pipes:
        figures[kind].append(pipe.recv())
    return figures, wal


def wal_bytes(home: Path) -> int:
    """The size of the write-ahead log; it is gone while nobody has the store open."""
    path = database_path(home).with_suffix(".db-wal")
    return path.stat().st_size if path.exists() else 0


def missing(home: Path, written: list[Figures]) -> list[str]:
    """What is wrong with the store at the end: rows that were written and are not there, pages that are damaged."""
    with closing(Reader(home)) as reader:
        there = sum(reader.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in COUNTED)
        check = reader.rows("PRAGMA integrity_check")[0]["integrity_check"]
    rows = sum(figures.rows for figures in written)
    faults = [] if there == rows else [f"{rows} rows were written, {there} are there"]
    return faults if check == "ok" else [*faults, check]


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--home", type=Path, help="an empty folder; by default one that is removed afterwards")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="ra3-store-"))
    figures, wal = measure(home, 60 * options.minutes, options.writers, options.readers)
    errors = [error for group in figures.values() for one in group for error in one.errors]
    errors += missing(home, figures["write"])
    size = database_path(home).stat().st_size
    if options.home is None:
        shutil.rmtree(home)
    report(figures, 60 * options.minutes, size, wal, errors)
    sys.exit(1 if errors else 0)


def report(figures: dict[str, list[Figures]], seconds: float, size: int, wal: int, errors: list[str]) -> None:
    """Print the figures, a line a kind of process."""
    for kind, group in figures.items():
        slowest = max(group, key=lambda one: one.slowest)
        rows, calls = sum(one.rows for one in group), sum(one.calls for one in group)
        print(  # noqa: T201
            f"{kind:6}{len(group):3} processes{calls / seconds:9.0f} calls/s{rows / seconds:9.0f} rows/s"
            f"   slowest {slowest.slowest:.3f} s ({slowest.slowest_kind})"
        )
    print(f"file {size / 1e6:.0f} MB, WAL at most {wal / 1e6:.1f} MB, {len(errors)} errors")  # noqa: T201
    for error in errors[:10]:
        print(error, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
