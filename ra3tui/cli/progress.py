"""Progress on stderr: bars with ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.runs.progress import Listener, Progress
from ra3tui.cli.options import count, duration, printable, stderr, talk

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import Task, TaskID

_LINE_SECONDS = 10.0  # at most one line of a phase in this time


@contextmanager
def watched() -> Iterator[Listener]:
    """A listener that fits stderr, for as long as the work goes on."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    with make_bars(stderr()) as bars:
        shown = Bars(bars)
        yield shown
        shown.close()


def make_bars(console: Console) -> RichProgress:
    """Empty bars on ``console``, for `Bars` to fill."""
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
        console=console,
    )


class Bars:
    """The bars of the phase at work, one a unit it counts; a phase that is over becomes a line above them."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._phase: tuple[str, str] | None = None
        self._tasks: dict[str, TaskID] = {}

    def progress(self, progress: Progress) -> None:
        """Move the phase's bar on."""
        phase = (progress.run, progress.phase)
        if phase != self._phase:
            self.close()
            self._phase = phase
        if progress.unit not in self._tasks:
            title = f"{progress.run} {progress.arm} {progress.phase}"
            self._tasks[progress.unit] = self._bars.add_task(title, total=progress.total, amount="", note="")
        task = self._tasks[progress.unit]
        if progress.done < self._bar(task).completed:  # the next update's samples: the clock starts again too
            self._bars.reset(task)
        amount, note = _amount(progress), progress.note
        self._bars.update(task, completed=progress.done, total=progress.total, amount=amount, note=note)

    def event(self, run: str, level: str, message: str) -> None:
        """Print it above the bars."""
        self._bars.console.print(_event_line(run, level, message), soft_wrap=True, markup=False)

    def close(self) -> None:
        """The phase is over: its bars give way to lines that stay."""
        for task in self._tasks.values():
            bar = self._bar(task)
            parts = [
                bar.description,
                str(bar.fields["amount"]),
                duration(bar.finished_time or bar.elapsed),
                str(bar.fields["note"]),
            ]
            self._bars.console.print("  ".join(part for part in parts if part), soft_wrap=True, markup=False)
            self._bars.remove_task(task)
        self._tasks.clear()

    def _bar(self, task: TaskID) -> Task:
        return next(bar for bar in self._bars.tasks if bar.id == task)


class Lines:
    """A line when a phase begins, when it ends, and now and then between."""

    def __init__(self) -> None:
        self._phase: tuple[str, str] | None = None
        self._line_times: dict[str, float] = {}
        self._ended: set[str] = set()

    def progress(self, progress: Progress) -> None:
        """Tell of it, unless a line of the same phase and unit was just told."""
        phase, unit = (progress.run, progress.phase), progress.unit
        if phase != self._phase:
            self._phase, self._line_times, self._ended = phase, {}, set()
        ends = progress.done >= progress.total and unit not in self._ended
        if unit in self._line_times and not ends and time.monotonic() - self._line_times[unit] < _LINE_SECONDS:
            return
        self._line_times[unit] = time.monotonic()
        self._ended |= {unit} if ends else set()
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
