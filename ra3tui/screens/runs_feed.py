"""What the list of runs shows, read from the store a little at a time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ra3tui.widgets.printable import printable_row

if TYPE_CHECKING:
    from engine.store.reader import Reader

SPARK_POINTS = 12
SPARKS_A_POLL = 24


@dataclass(frozen=True)
class RunSummary:
    """A run in the list."""

    row: dict[str, Any]
    """Its row in the store, ``config`` left out."""
    best: float | None
    """The best pass@1 of its evaluations."""
    loss: float | None
    """The newest loss."""
    spark: tuple[float, ...]
    """Losses from its first to its newest step, evenly taken."""


class RunsFeed:
    """Remembers the sparklines, so that a poll reads only those of runs that moved on."""

    def __init__(self) -> None:
        self._sparks: dict[str, tuple[int, tuple[float, ...]]] = {}

    def poll(self, reader: Reader) -> list[RunSummary]:
        """All runs, the newest launch first, its arms in order."""
        best = _by_run(reader, "SELECT run, max(value) AS value FROM evals WHERE k = 1 GROUP BY run")
        newest = reader.rows("SELECT run, step, value FROM latest WHERE key = 'loss'")
        self._refresh_sparks(reader, {row["run"]: row["step"] for row in newest})
        losses = {row["run"]: row["value"] for row in newest}
        return [
            RunSummary(
                printable_row(row), best.get(row["id"]), losses.get(row["id"]), self._sparks.get(row["id"], (0, ()))[1]
            )
            for row in reader.runs()
        ]

    def _refresh_sparks(self, reader: Reader, newest: dict[str, int]) -> None:
        moved = [run for run, step in newest.items() if self._sparks.get(run, (-1, ()))[0] != step]
        for run in moved[-SPARKS_A_POLL:]:
            self._sparks[run] = (newest[run], _spark(reader, run, newest[run]))


def _by_run(reader: Reader, sql: str) -> dict[str, float]:
    return {row["run"]: row["value"] for row in reader.rows(sql)}


def _spark(reader: Reader, run: str, last: int) -> tuple[float, ...]:
    """Means of the few losses behind evenly spaced steps: an index look-up each, however long the run is."""
    query = "SELECT value FROM metrics WHERE run = ? AND key = 'loss' AND step >= ? ORDER BY step LIMIT 4"
    means = []
    for i in range(SPARK_POINTS):
        rows = reader.rows(query, [run, last * i // SPARK_POINTS])
        values = [row["value"] for row in rows if row["value"] is not None]
        if values:
            means.append(statistics.fmean(values))
    return tuple(means)
