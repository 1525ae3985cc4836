"""Runs in SQLite: one writer a run, many readers. ``docs/store.md`` tells what each table means.

A writer buffers rows and writes them in one short transaction every quarter of a second, every 500 rows, at a phase's
end and when it closes, so that logging costs a step next to nothing and a kill loses next to nothing.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlite_utils import Database

from engine.errors import EnvironmentFault
from engine.schema import SCHEMA_VERSION, bring_up
from engine.spending import SPENT_BY, together

FLUSH_ROWS = 500
FLUSH_SECONDS = 0.25
BUSY_SECONDS = 30.0
HEARTBEAT_SECONDS = 2.0
LOST_SECONDS = 60.0
LIVE = ("queued", "running", "paused")
AT_WORK = ("running", "paused")
ENDED = ("done", "failed", "stopped", "lost")
_LATEST = """
INSERT OR REPLACE INTO latest (run, key, step, value, special)
SELECT run, key, max(step), value, special FROM metrics WHERE run = ? GROUP BY key
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
CHANGES = "SELECT * FROM controls WHERE run = ? AND action = 'set' AND step IS NOT NULL ORDER BY step, id"


class StoreError(EnvironmentFault):
    """The store cannot be read or written. The message names the file and what to do."""


def database_path(home: Path) -> Path:
    """The one SQLite file of a home."""
    return home / "ra3.db"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on the store at ``path`` into one line that says what to do."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a row of ours that breaks the schema: a fault of this program, not of the file
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            hint = "free some space, then `ra3 run --resume RUN`"
        elif "locked" in str(error):
            hint = f"another process has held it for over {BUSY_SECONDS:.0f} s"
        else:
            hint = "is the folder readable and writable, and on a local disk?"
        raise StoreError(f"{path}: {error}; {hint}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path}: not a sound SQLite store ({error}); move it aside to start a new one: checkpoints are untouched"
        ) from error


def connect(home: Path, *, write: bool) -> Database:
    """Open the store of ``home``; a writer makes it, with its tables, where there is none.

    One of an older version is brought up to this one first, whoever opens it.

    Raises:
        StoreError: there is no store to read, it is not one of ours, or it is of a newer version.
    """
    path = database_path(home)
    if not write and not path.exists():
        raise StoreError(f"{path}: no runs here yet; start one with `ra3 run smoke`, or name another --home")
    with explained(path):
        if write:
            _make_folder(home)
        mode = "rwc" if write else "ro"
        connection = sqlite3.connect(
            f"file:{path}?mode={mode}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        connection.row_factory = sqlite3.Row
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not write and version == 0:  # made a moment ago, by a writer that is not through with its tables
            raise StoreError(f"{path}: no runs here yet; start one with `ra3 run smoke`, or name another --home")
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path}: written by a newer ra3 (schema {version}, this one knows {SCHEMA_VERSION})")
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            bring_up(connection)
        elif version < SCHEMA_VERSION:
            connect(home, write=True).conn.close()
        return Database(connection, execute_plugins=False)


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home}: cannot make this folder ({error.strerror}); name another with --home") from error


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
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._heart.join()
        try:
            self.flush()
        finally:
            self._db.conn.close()

    def create_run(self, **columns: Any) -> None:
        """Insert the run's row; ``config`` is the resolved recipe as JSON."""
        self._write(lambda: self._db["runs"].insert({"id": self.run, "created": time.time(), **columns}))

    def update_run(self, **columns: Any) -> None:
        """Change columns of the run's row, at once."""
        self._write(lambda: self._db["runs"].update(self.run, columns))

    def stage(self, position: int, kind: str, **columns: Any) -> None:
        """Insert or change the row of the stage at ``position``, at once, after all rows before it."""
        self.flush()
        row = {"run": self.run, "position": position, "kind": kind, **columns}
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
                with self._db.conn:
                    self._db.conn.execute("BEGIN")
                    trace_id = self._db["traces"].insert({"run": self.run, **row}).last_pk
                    self._db["trace_lines"].insert_all(
                        {"trace_id": trace_id, "line": i, **line} for i, line in enumerate(lines)
                    )

            self._write(insert)

    def problems(self, rows: list[dict[str, Any]]) -> None:
        """Record the prompts of a suite's problems, once."""
        self._write(lambda: self._db["problems"].insert_all(rows, replace=True))

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Queue a row of a table that has a ``run`` column."""
        with self._lock:
            self._pending[table].append({"run": self.run, **row})
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

    def spent_by(self, arm: str) -> float | None:
        """Seconds that ``ntp`` and ``ra3`` took an arm of this launch, measuring left out; None without either."""
        spent: float | None = self._rows(SPENT_BY, arm)[0]["spent"]
        return spent

    def forget_after(self, step: int, position: int) -> None:
        """Drop what was recorded after update ``step`` and of stages from ``position`` on: it is about to be redone."""

        def delete() -> None:
            with self._db.conn:
                self._db.conn.execute("BEGIN")
                self._delete_after(step, position)

        self._write(delete)

    def inherit(self, parent: str, step: int, position: int) -> None:
        """Take over what ``parent`` recorded of its stages up to ``position``, until update ``step``."""

        def copy() -> None:
            with self._db.conn:
                self._db.conn.execute("BEGIN")
                given = {"run": self.run, "parent": parent, "step": step, "position": position}
                for table, (columns, condition) in _INHERITED.items():
                    self._db.conn.execute(
                        f"INSERT INTO {table} (run, {columns}) "
                        f"SELECT :run, {columns} FROM {table} WHERE run = :parent AND {condition}",
                        given,
                    )
                self._db.conn.execute(_LATEST, [self.run])

        self._write(copy)

    def _delete_after(self, step: int, position: int) -> None:
        execute = self._db.conn.execute
        later = "DELETE FROM {} WHERE run = ? AND step > ?"
        for table in ("metrics", "samples", "traces", "latest"):
            execute(later.format(table), [self.run, step])
        execute("DELETE FROM trace_lines WHERE trace_id NOT IN (SELECT id FROM traces)")
        execute("DELETE FROM phases WHERE run = ? AND first_step > ?", [self.run, step])
        execute("DELETE FROM samples WHERE run = ? AND position >= ? AND phase = 'eval'", [self.run, position])
        execute("DELETE FROM evals WHERE run = ? AND position >= ?", [self.run, position])
        execute("DELETE FROM stages WHERE run = ? AND position > ?", [self.run, position])
        execute(_LATEST, [self.run])

    def _insert_pending(self) -> None:
        with self._db.conn:
            self._db.conn.execute("BEGIN")
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

    def _write(self, change: Any) -> None:
        begin = time.monotonic()
        with self._lock, explained(self._path):
            change()
        if threading.current_thread() is not self._heart:
            self.seconds += time.monotonic() - begin

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            with self._lock:
                try:
                    self.update_run(heartbeat=time.time())
                except StoreError:
                    continue  # the next write of the training thread meets the same fault and reports it


def _real(value: float) -> dict[str, Any]:
    """SQLite keeps NaN as NULL, so what is not finite is told in a column of its own."""
    number = float(value)
    return {"value": number, "special": None} if math.isfinite(number) else {"value": None, "special": str(number)}


class Reader:
    """Reads the store of a home; every method is one short transaction."""

    def __init__(self, home: Path) -> None:
        self._path = database_path(home)
        self._db = connect(home, write=False)

    def close(self) -> None:
        """Let go of the file."""
        self._db.conn.close()

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a query, as dictionaries.

        Raises:
            StoreError: the store is broken.
        """
        with explained(self._path):
            return [dict(row) for row in self._db.conn.execute(sql, parameters or [])]

    def runs(self, group: str | None = None) -> list[dict[str, Any]]:
        """Runs, the newest group first, arms in the order they ran; ``config`` stays in the store."""
        columns = (
            'id, "group", name, arm, status, stage, step, progress, eta_s, seed, device, host, pid, folder, tags, '
            "created, started, ended, heartbeat, error, parent, parent_step"
        )
        where = 'WHERE "group" = ?' if group else ""
        order = 'ORDER BY (SELECT max(created) FROM runs g WHERE g."group" = runs."group") DESC, created'
        rows = self.rows(f"SELECT {columns} FROM runs {where} {order}", [group] if group else [])
        return [{**row, "status": _true_status(row)} for row in rows]

    def run(self, reference: str) -> dict[str, Any]:
        """The run a person means: an id or its unique prefix, or ``@latest``.

        Raises:
            StoreError: none or several match.
        """
        if reference == "@latest":
            found = self.rows("SELECT * FROM runs ORDER BY created DESC LIMIT 1")
        else:
            found = self.rows("SELECT * FROM runs WHERE substr(id, 1, ?) = ?", [len(reference), reference])
            found = [row for row in found if row["id"] == reference] or found
        if not found:
            raise StoreError(f"no run {reference!r} in {self._path}; `ra3 ls` lists them")
        if len(found) > 1:
            raise StoreError(f"{reference!r} could be any of {', '.join(row['id'] for row in found)}; give more of it")
        return {**found[0], "status": _true_status(found[0])}

    def group(self, reference: str) -> str:
        """The group a person means by a group's id, a run's id, a prefix of either, or ``@latest``."""
        found = self.rows('SELECT DISTINCT "group" FROM runs WHERE "group" LIKE ?', [f"{reference}%"])
        return str(found[0]["group"]) if len(found) == 1 else str(self.run(reference)["group"])

    def stages(self, run: str) -> list[dict[str, Any]]:
        """Stages of a run, in order; ``work`` as a dict of seconds."""
        found = self.rows("SELECT * FROM stages WHERE run = ? ORDER BY position", [run])
        return [{**row, "work": json.loads(row["work"])} for row in found]

    def phases(self, run: str) -> list[dict[str, Any]]:
        """Phases of a run, in order: the bands behind a chart."""
        return self.rows("SELECT * FROM phases WHERE run = ? ORDER BY first_step, started", [run])

    def latest(self, run: str) -> dict[str, float]:
        """The newest value of every metric."""
        rows = self.rows("SELECT key, value, special FROM latest WHERE run = ? ORDER BY key", [run])
        return {row["key"]: _number(row) for row in rows}

    def series(self, run: str, key: str, after: int = -1) -> list[tuple[int, float]]:
        """(step, value) of a metric, from behind step ``after``."""
        query = "SELECT step, value, special FROM metrics WHERE run = ? AND key = ? AND step > ? ORDER BY step"
        return [(row["step"], _number(row)) for row in self.rows(query, [run, key, after])]

    def events(self, run: str, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Events behind the cursor ``after`` (an id)."""
        return self._behind("events", run, after, limit)

    def traces(self, run: str, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Annotated traces behind the cursor ``after`` (an id)."""
        return self._behind("traces", run, after, limit)

    def trace_lines(self, trace_id: int) -> list[dict[str, Any]]:
        """The lines of an annotated trace, in order."""
        return self.rows("SELECT * FROM trace_lines WHERE trace_id = ? ORDER BY line", [trace_id])

    def samples(self, run: str, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Judged samples behind the cursor ``after`` (an id)."""
        return self._behind("samples", run, after, limit)

    def last_id(self, table: str, run: str) -> int:
        """The newest id of a run's rows in ``events``, ``traces`` or ``samples``; 0 where there is none."""
        return int(self.rows(f"SELECT coalesce(max(id), 0) AS id FROM {table} WHERE run = ?", [run])[0]["id"])

    def changes(self, run: str) -> list[dict[str, Any]]:
        """Settings that were changed while the run was at work, in the order in which they took hold."""
        return self.rows(CHANGES, [run])

    def evals(self, run: str) -> list[dict[str, Any]]:
        """pass@k of a run, in order."""
        return self.rows("SELECT * FROM evals WHERE run = ? ORDER BY position, suite, k", [run])

    def comparison(self, group: str) -> list[dict[str, Any]]:
        """Arms against pass@k: a row for each evaluation of each run of ``group``, with what it had cost by then.

        Keys: run, arm, after (the stages before it), suite, problems, n, pass ({k: {value, low, high}}),
        tokens_trained, tokens_generated, flops, seconds (all without evaluations and measuring), peak_mb.
        """
        table: dict[tuple[str, int, str], dict[str, Any]] = {}
        for run in self.runs(group):
            stages = self.stages(run["id"])
            for row in self.evals(run["id"]):
                costs = [s for s in stages if s["position"] < row["position"] and s["kind"] != "eval"]
                entry = table.setdefault(
                    (run["id"], row["position"], row["suite"]),
                    {"run": run["id"], "arm": run["arm"]}
                    | {name: row[name] for name in ("after", "suite", "problems", "n", "step")}
                    | {**together(costs), "pass": {}},
                )
                entry["pass"][row["k"]] = {name: row[name] for name in ("value", "low", "high")}
        return list(table.values())

    def _behind(self, table: str, run: str, after: int, limit: int) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table} WHERE run = ? AND id > ? ORDER BY id LIMIT ?"
        return self.rows(query, [run, after, limit])


def request(home: Path, run: str, action: str, who: str, key: str | None = None, value: Any = None) -> None:
    """Ask the engine of ``run`` for an action of ``engine.control``; it is taken between two updates."""
    with explained(database_path(home)):
        db = connect(home, write=True)
        told = None if value is None else json.dumps(value)
        row = {"run": run, "at": time.time(), "who": who, "action": action, "key": key, "value": told}
        db["controls"].insert(row)
        db.conn.close()


def withdraw_requests(home: Path, run: str) -> None:
    """Forget what was asked of an engine of ``run`` that has ended since; a changed setting waits for the next one."""
    with explained(database_path(home)):
        db = connect(home, write=True)
        db.conn.execute(
            "UPDATE controls SET taken = ? WHERE taken IS NULL AND action <> 'set' AND run = ?", [time.time(), run]
        )
        db.conn.close()


def _number(row: Mapping[str, Any]) -> float:
    return float(row["special"]) if row["special"] else float(row["value"])


def _true_status(row: Mapping[str, Any]) -> str:
    """``lost`` for a run that says it is running while its process is gone, or has been silent for too long."""
    status = str(row["status"])
    if status not in LIVE or row["pid"] is None:
        return status
    gone = row["host"] == os.uname().nodename and not _alive(int(row["pid"]))
    # Another process may have the same number after a restart of the machine, or of a container.
    silent = status in AT_WORK and time.time() - (row["heartbeat"] or row["started"] or 0.0) > LOST_SECONDS
    return "lost" if gone or silent else status


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
