"""What the screen of a run shows, read from the store by cursor: each poll reads what is new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ra3tui.widgets.curve import Curve
from ra3tui.widgets.plot import Band
from ra3tui.widgets.printable import printable_row

if TYPE_CHECKING:
    from engine.store.reader import Reader

Row = dict[str, Any]

POINTS_A_READ = 4000
ROWS_A_READ = 300
UNSEEN = 500
"""A running curve is read again when it is longer by one in so many: less would move no dot of its chart."""
COLUMNS = {
    "traces": "id, step, phase, round, trace, source, rollout, lines, latents, bound, bare",
    "samples": "id, step, phase, suite, task, sample, tokens, stop, verdict, reward, cpu_s, tricks",
    "events": "id, at, step, level, kind, message",
}


@dataclass(frozen=True)
class RunNews:
    """What a poll found. Of tables, only rows that are new; of curves, only those that grew."""

    row: Row
    arms: tuple[Row, ...]
    """All runs of the launch, in order."""
    stages: tuple[Row, ...]
    bands: tuple[Band, ...]
    latest: dict[str, tuple[int, float]]
    """Step and value of every metric's newest point."""
    curves: dict[str, Curve]
    traces: list[Row]
    samples: list[Row]
    events: list[Row]
    anew: bool
    """The run was taken up again: forget what was shown of it before."""
    more: bool
    """There is more to read at once."""


@dataclass
class RunFeed:
    """The cursors of one run."""

    run: str
    curves: dict[str, Curve] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _pid: int | None = None

    def poll(self, reader: Reader, keys: Iterable[str]) -> RunNews:
        """What is new, with the points of the metrics ``keys``."""
        row = printable_row(reader.run(self.run))
        anew = self._taken_up_again(row)
        latest = _latest(reader, self.run)
        live = row["status"] == "running"
        grown = [key for key in keys if key in latest and self._grow(reader, key, latest[key][0], live=live)]
        return RunNews(
            row=row,
            arms=tuple(reader.runs(row["group"])),
            stages=tuple(reader.stages(self.run)),
            bands=tuple(Band(p["first_step"], p["kind"], p["round"]) for p in reader.phases(self.run)),
            latest=latest,
            curves={key: self.curves[key] for key in grown},
            **{table: self._rows_behind(reader, table) for table in COLUMNS},
            anew=anew,
            more=any(self.curves[key].last_step < latest[key][0] for key in grown),
        )

    def _taken_up_again(self, row: Row) -> bool:
        """A resumed run goes back to its checkpoint: points and rows that were read may be gone."""
        again = self._pid is not None and row["pid"] != self._pid
        self._pid = row["pid"]
        if again:
            self.curves.clear()
            self._ids.clear()
        return again

    def _grow(self, reader: Reader, key: str, last: int, *, live: bool) -> bool:
        """Read the next points of a metric; False where there are none."""
        curve = self.curves.setdefault(key, Curve())
        if last < curve.last_step:
            curve = Curve()
        if last == curve.last_step or (live and last - curve.last_step < curve.last_step // UNSEEN):
            return False
        query = "SELECT step, value, special FROM metrics WHERE run = ? AND key = ? AND step > ? ORDER BY step LIMIT ?"
        rows = reader.rows(query, [self.run, key, curve.last_step, POINTS_A_READ])
        self.curves[key] = curve.extended([(row["step"], _number(row)) for row in rows])
        return bool(rows)

    def _rows_behind(self, reader: Reader, table: str) -> list[Row]:
        """The newest rows of a table behind the cursor, the older first; of a burst, the newest."""
        query = f"SELECT {COLUMNS[table]} FROM {table} WHERE run = ? AND id > ? ORDER BY id DESC LIMIT ?"
        rows = reader.rows(query, [self.run, self._ids.get(table, 0), ROWS_A_READ])[::-1]
        if rows:
            self._ids[table] = rows[-1]["id"]
        return [printable_row(row) for row in rows]


def _latest(reader: Reader, run: str) -> dict[str, tuple[int, float]]:
    rows = reader.rows("SELECT key, step, value, special FROM latest WHERE run = ? ORDER BY key", [run])
    return {row["key"]: (row["step"], _number(row)) for row in rows}


def _number(row: Row) -> float:
    return float(row["special"]) if row["special"] else float(row["value"])
