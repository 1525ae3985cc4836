"""The list of runs, by launch."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive

from ra3tui.widgets import figures
from ra3tui.widgets.marks import STATUSES, UNKNOWN, colour, text
from ra3tui.widgets.sparkline import sparkline
from ra3tui.widgets.table import Cells, LiveTable

if TYPE_CHECKING:
    from ra3tui.screens.runs_feed import RunSummary

LAUNCH = "launch:"
WIDE = {"run": 18, "status": 10, "stage": 10, "step": 6, "progress": 13, "ETA": 7, "pass@1": 6}
WIDE |= {"loss": 17, "device": 6, "age": 6}
NARROW = {"run": 15, "status": 9, "stage": 8, "progress": 9, "ETA": 6, "pass@1": 6, "loss": 12}
WIDE_FROM = 118


class RunsTable(LiveTable):
    """Runs under the launch they belong to; setting ``runs`` or ``words`` paints it."""

    class Opened(Message):
        """A person wants to see a run, or a launch."""

        def __init__(self, *, run: str | None, launch: str | None) -> None:
            super().__init__()
            self.run = run
            self.launch = launch

    DEFAULT_CSS = "RunsTable { height: 1fr; }"
    runs: reactive[tuple[RunSummary, ...]] = reactive(tuple)
    """All runs of the store."""
    words: reactive[str] = reactive("")
    """Only runs that have all these words; ``status:running`` looks at one column."""
    SEARCHED: ClassVar[tuple[str, ...]] = ("id", "group", "name", "arm", "status", "stage", "device", "tags")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._made: dict[str, tuple[object, Cells]] = {}

    def on_resize(self, event: events.Resize) -> None:
        """Fewer columns on a narrow terminal."""
        wanted = WIDE if event.size.width >= WIDE_FROM else NARROW
        if [str(column.label) for column in self.ordered_columns] != list(wanted):
            self.set_columns(wanted)
            self._paint()

    def watch_runs(self) -> None:
        """New figures."""
        self._paint()

    def watch_words(self) -> None:
        """Another filter."""
        self._paint()

    @property
    def chosen(self) -> RunSummary | None:
        """The run under the cursor; None on a launch's line."""
        return next((summary for summary in self.runs if summary.row["id"] == self.key), None)

    @property
    def matching(self) -> list[RunSummary]:
        """Runs that pass the filter."""
        return [summary for summary in self.runs if all(_has(summary, word) for word in self.words.lower().split())]

    def on_data_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        """Open what the cursor stands on."""
        event.stop()
        key = str(event.row_key.value)
        is_launch = key.startswith(LAUNCH)
        opened = {"launch": key.removeprefix(LAUNCH), "run": None} if is_launch else {"run": key, "launch": None}
        self.post_message(self.Opened(**opened))

    def _paint(self) -> None:
        if not self.columns:
            return
        launches: dict[str, list[RunSummary]] = {}
        for summary in self.runs:
            launches.setdefault(str(summary.row["group"]), []).append(summary)
        rows: dict[str, Cells] = {}
        for launch, members in groupby(self.matching, key=lambda summary: str(summary.row["group"])):
            rows[LAUNCH + launch] = self._cells(LAUNCH + launch, tuple(launches[launch]))
            for summary in members:
                rows[summary.row["id"]] = self._cells(summary.row["id"], (summary,))
        self.set_rows(rows)

    def _cells(self, key: str, summaries: tuple[RunSummary, ...]) -> Cells:
        """The cells of a run or a launch, made anew only when something of it changed: most runs ended long ago."""
        age = figures.age(time.time() - summaries[0].row["created"])
        widths = WIDE if len(self.columns) == len(WIDE) else NARROW
        state = (summaries, age, len(self.columns), self.app.theme)
        made = self._made.get(key)
        if made is None or made[0] != state:
            cells = _launch_cells(summaries) if key.startswith(LAUNCH) else None
            cells = cells or _run_cells(summaries[0], widths, self.app.theme_variables)
            cells["age"] = Text(age, justify="right")
            made = self._made[key] = (state, tuple(cells.get(label, Text()) for label in widths))
        return made[1]


def _has(summary: RunSummary, word: str) -> bool:
    column, separator, value = word.partition(":")
    if separator and column in RunsTable.SEARCHED:
        return value in str(summary.row[column] or "").lower()
    return any(word in str(summary.row[column] or "").lower() for column in RunsTable.SEARCHED)


def _launch_cells(summaries: Sequence[RunSummary]) -> dict[str, Text]:
    """The line above a launch's runs."""
    first = summaries[0].row
    done = sum(summary.row["status"] == "done" for summary in summaries)
    best = [summary.best for summary in summaries if summary.best is not None]
    return {
        "run": Text(f"{first['name']}", style="bold", no_wrap=True),
        "status": Text(f"{done}/{len(summaries)} done", style="bold"),
        "stage": Text(first["group"], style="dim"),
        "pass@1": Text(figures.share(max(best)) if best else "", style="bold", justify="right"),
        "progress": Text(" ".join(json.loads(first["tags"])), style="italic"),
    }


def _run_cells(summary: RunSummary, widths: dict[str, int], theme: dict[str, str]) -> dict[str, Text]:
    row = summary.row
    status = row["status"]
    fraction = 1.0 if status == "done" else row["progress"]
    accent = colour(STATUSES.get(status, UNKNOWN).colour, theme)
    spark = sparkline(summary.spark[-(widths["loss"] - 7) :])
    return {
        "run": Text.assemble(" ", (f"{row['arm']:<{widths['run'] - 8}} ", "bold"), (row["id"], "dim")),
        "status": text(status, STATUSES.get(status, UNKNOWN), theme),
        "stage": Text(row["stage"] or "" if status in ("running", "paused", "lost") else ""),
        "step": Text(figures.count(row["step"]), justify="right"),
        "progress": Text.assemble((figures.bar(fraction, widths["progress"] - 5), accent), f" {100 * fraction:3.0f}%")
        if fraction is not None
        else Text(),
        "ETA": Text(figures.duration(row["eta_s"]) if status == "running" else "", justify="right"),
        "pass@1": Text(figures.share(summary.best), justify="right"),
        "loss": Text(f"{figures.number(summary.loss):>6} {spark}") if summary.loss is not None else Text(),
        "device": Text(row["device"] or "", style="dim"),
    }
