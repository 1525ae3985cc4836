"""What an engine writes of its run. ``docs/store.md`` tells what each table means.

A writer buffers rows and writes them in one short transaction every quarter of a second, every 500 rows, at a phase's
end and when it closes, so that logging costs a step next to nothing and a kill loses next to nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from engine.store.connection import StoreError, connect, database_path, explained
from engine.store.requests import CHANGES
from engine.store.transaction import transaction
from engine.store.wal import shorten_wal
from engine.text import storable

FLUSH_ROWS = 500
FLUSH_SECONDS = 0.25
HEARTBEAT_SECONDS = 2.0
_LATEST = """
INSERT OR REPLACE INTO latest (run, key, step, value, special)
SELECT run, key, max(step), value, special FROM metrics WHERE run = ? GROUP BY key
"""
_SPENT_BY = """
SELECT sum(s.seconds - coalesce(json_extract(s.work, '$.measure'), 0)) AS seconds, sum(s.flops) AS flops
FROM stages s JOIN runs r ON r.id = s.run JOIN runs mine ON mine."group" = r."group"
WHERE mine.id = ? AND s.kind IN ('ntp', 'ra3') AND s.status = 'done' AND r.arm = ?
"""
"""What imitation and EM took an arm (the second parameter) of a run's launch, measuring left out."""
_ROLLOUTS = """
SELECT * FROM samples WHERE run = ? AND phase = 'rlvr' AND step = (
    SELECT DISTINCT step FROM samples WHERE run = ? AND phase = 'rlvr' ORDER BY step LIMIT 1 OFFSET ?)
ORDER BY id
"""
_INHERITED = {
    "metrics": ("key, step, value, special, at", "step <= :step"),
    "phases": ("first_step, kind, position, round, started", "position <= :position AND first_step <= :step"),
    "stages": (
        "position, kind, status, first_step, last_step, started, ended, seconds, tokens_trained, tokens_generated, "
        "checkpoint, flops, peak_mb, work",
        "position <= :position",
    ),
    "evals": ("position, suite, k, step, after, value, low, high, problems, n, masked", "position <= :position"),
}
"""Columns that a fork takes over, and of which rows of its parent."""


class Spent(NamedTuple):
    """What an arm's training took, measuring left out."""

    seconds: float
    flops: float
    """Floating-point operations."""


class Writer:
    """Writes one run. Safe to call from several threads; ``close`` writes what is left."""

    def __init__(self, home: Path, run: str) -> None:
        self.run = run
        self.step = 0
        self.seconds = 0.0
        """Spent writing, its own thread left out."""
        self._path = database_path(home)
        self._db = connect(home, write=True)
        self._pending: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._count = 0
        self._flushed = time.monotonic()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._heartbeat = threading.Thread(target=self._write_heartbeats, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._heartbeat.join()
        try:
            self.flush()
        finally:
            self._db.conn.close()

    def create_run(self, **columns: Any) -> None:
        """Insert the run's row; ``config`` is the resolved recipe as JSON."""
        row = _utf8({"id": self.run, "created": time.time(), **columns})
        self._write(lambda: self._db["runs"].insert(row))

    def update_run(self, **columns: Any) -> None:
        """Change columns of the run's row, at once."""
        self._write(lambda: self._db["runs"].update(self.run, _utf8(columns)))

    def stage(self, position: int, kind: str, **columns: Any) -> None:
        """Insert or change the row of the stage at ``position``, at once, after all rows before it."""
        self.flush()
        row = _utf8({"run": self.run, "position": position, "kind": kind, **columns})
        self._write(lambda: self._upsert("stages", row))

    def phase(self, kind: str, position: int, round_: int) -> None:
        """A phase (``eval``, ``ntp``, ``estep``, ``mstep``, ``rlvr``) begins at the present step."""
        self.flush()
        # A resumed run enters a phase again: it began where it began.
        insert = (
            "INSERT OR IGNORE INTO phases (run, first_step, kind, position, round, started) VALUES (?, ?, ?, ?, ?, ?)"
        )
        row = [self.run, self.step, kind, position, round_, time.time()]
        self._write(lambda: self._db.conn.execute(insert, row))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record numbers at the present step."""
        for key, value in values.items():
            self.add("metrics", {"key": key, "step": self.step, **_real(value), "at": time.time()})

    def event(self, kind: str, message: str, level: str = "info") -> None:
        """Record something a person may want to know."""
        self.add("events", {"at": time.time(), "step": self.step, "level": level, "kind": kind, "message": message})
        self.flush()

    def trace(self, row: Mapping[str, Any], lines: list[dict[str, Any]]) -> None:
        """Record an annotated trace and its lines, in one transaction."""
        with self._lock:
            self.flush()

            def insert() -> None:
                trace_id = self._db["traces"].insert(_utf8({"run": self.run, **row})).last_pk
                self._db["trace_lines"].insert_all(
                    _utf8({"trace_id": trace_id, "line": i, **line}) for i, line in enumerate(lines)
                )

            self._write(insert)

    def keep_samples(self, rows: Sequence[Mapping[str, Any]], position: int, kind: str, **columns: Any) -> None:
        """Record samples and what their stage has come to, in one transaction: a kill loses both or neither."""
        self.flush()
        samples = [_utf8({"run": self.run, **row}) for row in rows]
        stage = _utf8({"run": self.run, "position": position, "kind": kind, **columns})

        def insert() -> None:
            self._db["samples"].insert_all(samples)
            self._upsert("stages", stage)

        self._write(insert)

    def problems(self, rows: list[dict[str, Any]]) -> None:
        """Record the prompts of a suite's problems, once."""
        self._write(lambda: self._db["problems"].insert_all(map(_utf8, rows), replace=True))

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Queue a row of a table that has a ``run`` column."""
        with self._lock:
            self._pending[table].append(_utf8({"run": self.run, **row}))
            self._count += 1
        if self._count >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is queued, in one transaction."""
        with self._lock:
            if self._count:
                self._write(self._insert_pending)
                self._pending.clear()
                self._count = 0
            self._flushed = time.monotonic()

    def requests(self) -> list[dict[str, Any]]:
        """What people asked of the run and was not taken yet, in order."""
        return self._rows("SELECT * FROM controls WHERE run = ? AND taken IS NULL ORDER BY id")

    def take(self, request: int, step: int | None = None) -> None:
        """Mark a request as taken; ``step`` is the update behind which a changed setting holds."""
        row = {"taken": time.time(), "step": step}
        self._write(lambda: self._db["controls"].update(request, row))

    def changes(self) -> list[dict[str, Any]]:
        """Settings of this run that were changed, in the order in which they take hold."""
        return self._rows(CHANGES)

    def void_changes(self, key: str, step: int) -> None:
        """Changes of ``key`` that were to take hold behind a later update no longer do: there is a newer one."""
        void = "UPDATE controls SET step = NULL WHERE run = ? AND key = ? AND step > ?"
        self._write(lambda: self._db.conn.execute(void, [self.run, key, step]))

    def eval_verdicts(self, position: int, suite: str, n: int) -> dict[str, list[str]]:
        """By problem the verdicts of the evaluation at ``position``, of problems that have all ``n`` samples."""
        query = "SELECT task, verdict FROM samples WHERE run = ? AND position = ? AND suite = ? AND phase = 'eval'"
        found: dict[str, list[str]] = defaultdict(list)
        for row in self._rows(f"{query} ORDER BY id", position, suite):
            found[row["task"]].append(row["verdict"])
        return {task: verdicts for task, verdicts in found.items() if len(verdicts) == n}

    def mean(self, key: str, after: int, to: int) -> float | None:
        """Of a metric, over the steps behind ``after`` up to ``to``; None where it has no value there."""
        self.flush()
        query = "SELECT avg(value) AS mean FROM metrics WHERE run = ? AND key = ? AND step > ? AND step <= ?"
        mean = self._rows(query, key, after, to)[0]["mean"]
        return None if mean is None else float(mean)

    def stage_row(self, position: int) -> dict[str, Any] | None:
        """What was recorded of the stage at ``position``."""
        return next(iter(self._rows("SELECT * FROM stages WHERE run = ? AND position = ?", position)), None)

    def spent_by(self, arm: str) -> Spent | None:
        """What ``ntp`` and ``ra3`` took an arm of this launch; None without either."""
        row = self._rows(_SPENT_BY, arm)[0]
        return None if row["seconds"] is None else Spent(row["seconds"], row["flops"])

    def rollouts(self, run: str, number: int) -> list[dict[str, Any]]:
        """The samples that ``run`` drew for its ``number``-th update of RLVR, from 1, in their order."""
        with self._lock, explained(self._path):
            return [dict(row) for row in self._db.conn.execute(_ROLLOUTS, [run, run, number - 1])]

    def forget_after(self, step: int, position: int) -> None:
        """Drop what was recorded after update ``step`` and of stages from ``position`` on: it is about to be redone.

        The samples of an evaluation at ``position`` stay: it goes on behind them.
        """
        self._write(lambda: self._delete_after(step, position))

    def inherit(self, parent: str, step: int, position: int) -> None:
        """Take over what ``parent`` recorded of its stages up to ``position``, until update ``step``."""

        def copy() -> None:
            parameters = {"run": self.run, "parent": parent, "step": step, "position": position}
            for table, (columns, condition) in _INHERITED.items():
                self._db.conn.execute(
                    f"INSERT INTO {table} (run, {columns}) "
                    f"SELECT :run, {columns} FROM {table} WHERE run = :parent AND {condition}",
                    parameters,
                )
            self._db.conn.execute(_LATEST, [self.run])

        self._write(copy)

    def _delete_after(self, step: int, position: int) -> None:
        execute = self._db.conn.execute
        later = "DELETE FROM {} WHERE run = ? AND step > ?"
        lines = "DELETE FROM trace_lines WHERE trace_id IN (SELECT id FROM traces WHERE run = ? AND step > ?)"
        execute(lines, [self.run, step])  # before their traces
        for table in ("metrics", "samples", "traces", "latest"):
            execute(later.format(table), [self.run, step])
        execute("DELETE FROM phases WHERE run = ? AND first_step > ?", [self.run, step])
        execute("DELETE FROM samples WHERE run = ? AND position > ? AND phase = 'eval'", [self.run, position])
        execute("DELETE FROM evals WHERE run = ? AND position >= ?", [self.run, position])
        execute("DELETE FROM stages WHERE run = ? AND position > ?", [self.run, position])
        execute(_LATEST, [self.run])

    def _insert_pending(self) -> None:
        for table, rows in self._pending.items():
            self._db[table].insert_all(rows, replace=table in {"metrics", "evals"})
        metrics = self._pending.get("metrics", [])
        newest = {row["key"]: {name: row[name] for name in row if name != "at"} for row in metrics}
        self._db["latest"].insert_all(newest.values(), replace=True)

    def _upsert(self, table: str, row: dict[str, Any]) -> None:
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        changes = ", ".join(f"{name} = excluded.{name}" for name in row)
        self._db.conn.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {changes}",
            list(row.values()),
        )

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of ``query``, whose first parameter is the run."""
        with self._lock, explained(self._path):
            return [dict(row) for row in self._db.conn.execute(query, [self.run, *values])]

    def _write(self, change: Callable[[], object]) -> None:
        """Make ``change`` in a transaction of its own: every write of a run comes through here."""
        begin = time.monotonic()
        with self._lock, explained(self._path), transaction(self._db.conn):
            change()
        if threading.current_thread() is not self._heartbeat:
            self.seconds += time.monotonic() - begin

    def _write_heartbeats(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
            except StoreError:
                continue  # the next write of the training thread meets the same fault and reports it

    def _beat(self) -> None:
        with self._lock, explained(self._path):
            self.update_run(heartbeat=time.time())
            shorten_wal(self._db.conn, self._path)


def _real(value: float) -> dict[str, Any]:
    """SQLite keeps NaN as NULL, so what is not finite is told in a column of its own."""
    number = float(value)
    return {"value": number, "special": None} if math.isfinite(number) else {"value": None, "special": str(number)}


def _utf8(row: Mapping[str, Any]) -> dict[str, Any]:
    """``row`` with its text as SQLite can keep it."""
    return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
