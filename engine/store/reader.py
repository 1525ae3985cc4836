"""What is read of runs, by whoever watches them. ``docs/store.md`` tells what each table means."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.store.connection import StoreError, connect, database_path, explained
from engine.store.requests import CHANGES

LOST_SECONDS = 60.0
LIVE = ("queued", "running", "paused")
AT_WORK = ("running", "paused")
ENDED = ("done", "failed", "stopped", "lost")


_RANGE = re.compile(r"\[\d*:\d*\]")
"""Of a suite's name: which of its file's problems."""
Counts = dict[tuple[int, str], dict[str, tuple[int, int]]]
"""By an evaluation's position and suite: of each problem, how many samples were judged, and how many of them passed."""

_SPENT_BY_STEP = """
SELECT step, sum(value) FILTER (WHERE key = 'cost/tokens_trained') AS tokens_trained,
    sum(value) FILTER (WHERE key = 'cost/tokens_generated') AS tokens_generated,
    sum(value) FILTER (WHERE key = 'cost/flops') AS flops,
    sum(value) FILTER (WHERE key LIKE 'seconds/%' AND key <> 'seconds/measure') AS seconds
FROM metrics WHERE run = ? AND (key LIKE 'cost/%' OR key LIKE 'seconds/%') GROUP BY step
"""


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
            rows = self.rows("SELECT * FROM runs ORDER BY created DESC LIMIT 1")
        else:
            rows = self.rows("SELECT * FROM runs WHERE substr(id, 1, ?) = ?", [len(reference), reference])
            rows = [row for row in rows if row["id"] == reference] or rows
        if not rows:
            raise StoreError(f"no run {reference!r} in {self._path}; `ra3 ls` lists them")
        if len(rows) > 1:
            raise StoreError(f"{reference!r} could be any of {', '.join(row['id'] for row in rows)}; give more of it")
        return {**rows[0], "status": _true_status(rows[0])}

    def group(self, reference: str) -> str:
        """The group a person means by a group's id, a run's id, a prefix of either, or ``@latest``."""
        groups = self.rows('SELECT DISTINCT "group" FROM runs WHERE "group" LIKE ?', [f"{reference}%"])
        return str(groups[0]["group"]) if len(groups) == 1 else str(self.run(reference)["group"])

    def stages(self, run: str) -> list[dict[str, Any]]:
        """Stages of a run, in order; ``work`` as a dict of seconds."""
        rows = self.rows("SELECT * FROM stages WHERE run = ? ORDER BY position", [run])
        return [{**row, "work": json.loads(row["work"])} for row in rows]

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

    def spent_by_step(self, run: str) -> dict[int, dict[str, float]]:
        """What the stage at each update had cost by then: tokens_trained, tokens_generated, flops, seconds at work.

        Seconds are the sum of its kinds of work, measuring left out.
        """
        rows = self.rows(_SPENT_BY_STEP, [run])
        return {row.pop("step"): {name: value for name, value in row.items() if value is not None} for row in rows}

    def events(self, run: str, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Events behind the cursor ``after`` (an id)."""
        return self._behind("events", run, after, limit)

    def traces(self, run: str, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Annotated traces behind the cursor ``after`` (an id)."""
        return self._behind("traces", run, after, limit)

    def likeliest(self, run: str, count: int) -> list[dict[str, Any]]:
        """Of the traces of a run's last M-step those that latents made likelier by most, no two from one source."""
        query = (
            "SELECT source, prompt, text, bound - bare AS gain, max(bound - bare) FROM traces WHERE run = ? "
            "AND phase = 'mstep' AND latents > 0 "
            "AND round = (SELECT max(round) FROM traces WHERE run = ? AND phase = 'mstep') "
            "GROUP BY source ORDER BY gain DESC LIMIT ?"
        )
        return self.rows(query, [run, run, count])

    def trace_lines(self, trace_id: int) -> list[dict[str, Any]]:
        """The lines of an annotated trace, in order."""
        return self.rows("SELECT * FROM trace_lines WHERE trace_id = ? ORDER BY line", [trace_id])

    def samples(self, run: str, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Judged samples behind the cursor ``after`` (an id)."""
        return self._behind("samples", run, after, limit)

    def eval_samples(self, run: str, position: int, suite: str) -> list[dict[str, Any]]:
        """Judged samples of the evaluation at ``position``, as they were written; ``suite`` by `suite_of_samples`."""
        query = "SELECT * FROM samples WHERE run = ? AND position = ? AND suite = ? AND phase = 'eval' ORDER BY id"
        return self.rows(query, [run, position, suite])

    def changes(self, run: str) -> list[dict[str, Any]]:
        """Settings that were changed while the run was at work, in the order in which they took hold."""
        return self.rows(CHANGES, [run])

    def evals(self, run: str) -> list[dict[str, Any]]:
        """pass@k of a run, in order."""
        return self.rows("SELECT * FROM evals WHERE run = ? ORDER BY position, suite, k", [run])

    def eval_counts(self, run: str) -> Counts:
        """Judged samples of each evaluation of a run, and how many passed, by problem; sandbox errors left out.

        Those of an evaluation on a range, `humaneval[:32]`, are found under that name; those of two ranges of one file
        are kept together, under its name.
        """
        names: dict[tuple[int, str], set[str]] = {}
        for row in self.evals(run):
            names.setdefault((row["position"], suite_of_samples(row["suite"])), set()).add(row["suite"])
        only = {place: next(iter(own)) for place, own in names.items() if len(own) == 1}
        query = (
            "SELECT position, suite, task, count(*) AS n, sum(reward) AS passed FROM samples "
            "WHERE run = ? AND phase = 'eval' AND reward IS NOT NULL GROUP BY position, suite, task"
        )
        counts: Counts = {}
        for row in self.rows(query, [run]):
            place = row["position"], row["suite"]
            of_suite = counts.setdefault((row["position"], only.get(place, row["suite"])), {})
            of_suite[row["task"]] = (row["n"], int(row["passed"]))
        return counts

    def comparison(self, group: str) -> list[dict[str, Any]]:
        """Arms against pass@k: a row for each evaluation of each run of ``group``, with what it had cost by then.

        Keys: run, arm, position, after (the stages before it), suite, problems, n, pass ({k: {value, low, high}}),
        tokens_trained, tokens_generated, flops, seconds (all without evaluations and measuring), peak_mb.
        """
        table: dict[tuple[str, int, str], dict[str, Any]] = {}
        for run in self.runs(group):
            stages = self.stages(run["id"])
            for row in self.evals(run["id"]):
                trained = [s for s in stages if s["position"] < row["position"] and s["kind"] != "eval"]
                entry = table.setdefault(
                    (run["id"], row["position"], row["suite"]),
                    {"run": run["id"], "arm": run["arm"]}
                    | {name: row[name] for name in ("position", "after", "suite", "problems", "n", "step")}
                    | {**_costs(trained), "pass": {}},
                )
                entry["pass"][row["k"]] = {name: row[name] for name in ("value", "low", "high")}
        return list(table.values())

    def _behind(self, table: str, run: str, after: int, limit: int) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table} WHERE run = ? AND id > ? ORDER BY id LIMIT ?"
        return self.rows(query, [run, after, limit])


def suite_of_samples(suite: str) -> str:
    """What the samples of an evaluation on ``suite`` are kept under: its name without the range."""
    return _RANGE.sub("", suite, count=1)


def _costs(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several stages: tokens_trained, tokens_generated, flops, seconds without measuring, and peak_mb."""
    return {
        **{name: sum(stage[name] for stage in stages) for name in ("tokens_trained", "tokens_generated", "flops")},
        "seconds": sum(stage["seconds"] - stage["work"].get("measure", 0.0) for stage in stages),
        "peak_mb": max((stage["peak_mb"] for stage in stages if stage["peak_mb"]), default=None),
    }


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
