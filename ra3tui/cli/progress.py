"""Progress on stderr: bars with ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.progress import Listener, Progress
from ra3tui.cli.options import count, printable, stderr, talk

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LINE_SECONDS = 10.0  # at most one line of a phase in this time


@contextmanager
def watched() -> Iterator[Listener]:
    """A listener that fits stderr, for as long as the work goes on."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bars = _bars()
    with bars:
        yield Bars(bars)


def _bars() -> RichProgress:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=stderr(),
    )


class Bars:
    """A bar a phase; bars of earlier phases stay where they ended."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def progress(self, progress: Progress) -> None:
        """Move the phase's bar on."""
        key = (progress.run, progress.phase)
        if key not in self._tasks or self._restarted(self._tasks[key], progress):
            title = f"{progress.arm} {progress.phase}"
            self._tasks[key] = self._bars.add_task(title, total=progress.total, amount="", note="")
        self._bars.update(
            self._tasks[key],
            completed=progress.done,
            total=progress.total,
            amount=_amount(progress),
            note=progress.note,
        )

    def event(self, run: str, level: str, message: str) -> None:
        """Print it above the bars."""
        self._bars.console.print(_event_line(run, level, message), soft_wrap=True)

    def _restarted(self, task: TaskID, progress: Progress) -> bool:
        """A later stage of the same name: the arm's second ``eval``."""
        bar = next(bar for bar in self._bars.tasks if bar.id == task)
        return bar.finished and progress.done < progress.total


class Lines:
    """A line when a phase begins, when it ends, and now and then between."""

    def __init__(self) -> None:
        self._phase: tuple[str, str] | None = None
        self._ended = False
        self._told = 0.0

    def progress(self, progress: Progress) -> None:
        """Tell of it, unless a line of the same phase was just told."""
        phase, ended = (progress.run, progress.phase), progress.done >= progress.total
        news = phase != self._phase or ended != self._ended
        if not news and (ended or time.monotonic() - self._told < _LINE_SECONDS):
            return
        self._phase, self._ended, self._told = phase, ended, time.monotonic()
        note = f"  {progress.note}" if progress.note else ""
        talk(f"{progress.run} {progress.arm} {progress.phase}: {_amount(progress)}{note}")

    def event(self, run: str, level: str, message: str) -> None:
        """Tell of it."""
        talk(_event_line(run, level, message))


def _amount(progress: Progress) -> str:
    return f"{count(progress.done)}/{count(progress.total)} {progress.unit}"


def _event_line(run: str, level: str, message: str) -> str:
    mark = "" if level == "info" else f"{level}: "
    return printable(f"{run} {mark}{message}")
