"""What a group of runs came to: as a table for a person, as one object for a program."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ra3tui.cli.options import age, count, duration
from ra3tui.widgets.figures import points_gained

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from engine.store.reader import Reader

_STAGE_KEYS = ("kind", "status", "seconds", "tokens_trained", "tokens_generated", "flops", "peak_mb", "work")
_EVAL_KEYS = ("after", "suite", "k", "value", "low", "high", "problems", "n", "masked", "step")
_LAST_WARNINGS, _LAST_EVENTS = 20, 5
_WORTH_SHOWING = """
SELECT * FROM (SELECT * FROM events WHERE run = ? AND level <> 'info' ORDER BY id DESC LIMIT ?)
UNION SELECT * FROM (SELECT * FROM events WHERE run = ? AND level = 'info' ORDER BY id DESC LIMIT ?) ORDER BY id
"""
_RUN_KEYS = ("id", "arm", "status", "stage", "step", "error", "parent", "parent_step")
_CHANGE_KEYS = ("step", "key", "value", "who", "at")


def group_report(reader: Reader, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that ``ra3 run --json`` and ``ra3 show --json`` print of ``runs``, all of one group."""
    return {
        "group": runs[0]["group"],
        "name": runs[0]["name"],
        "status": group_status(run["status"] for run in runs),
        "runs": [_run_report(reader, run) for run in runs],
        "comparison": compared(reader, runs),
    }


def group_status(statuses: Iterable[str]) -> str:
    """One word for several runs: the first of these that any of them is in, ``done`` where all are done."""
    present = set(statuses)
    order = ("failed", "lost", "paused", "running", "stopped", "queued", "done")
    return next(status for status in order if status in present)


def _run_report(reader: Reader, run: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: run[key] for key in _RUN_KEYS},
        "stages": [{key: stage[key] for key in _STAGE_KEYS} for stage in reader.stages(run["id"])],
        "metrics": {"latest": reader.latest(run["id"])},
        "changes": [
            {key: row[key] for key in _CHANGE_KEYS} | {"value": json.loads(row["value"])}
            for row in reader.changes(run["id"])
        ],
        "evals": [{key: row[key] for key in _EVAL_KEYS} for row in reader.evals(run["id"])],
        "best": best_evaluations(reader, [run]),
    }


def best_evaluations(reader: Reader, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each suite the evaluation of ``runs`` with the highest pass@k, of the smallest k, and what it evaluated.

    ``checkpoint`` is the folder; None where it was the base model. Of equals the one of the fewest updates is best.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        evals = reader.evals(run["id"])
        smallest = {row["suite"]: min(other["k"] for other in evals if other["suite"] == row["suite"]) for row in evals}
        for row in evals:
            best = found.get(row["suite"])
            if row["k"] == smallest[row["suite"]] and (best is None or _rank(row) > _rank(best)):
                told = {key: row[key] for key in ("suite", "k", "value", "after", "step")}
                found[row["suite"]] = told | {"run": run["id"], "checkpoint": _evaluated(reader, row)}
    return list(found.values())


def _rank(row: dict[str, Any]) -> tuple[float, int]:
    return row["value"], -row["step"]


def _evaluated(reader: Reader, row: dict[str, Any]) -> str | None:
    """The checkpoint that an evaluation measured."""
    before = [stage["checkpoint"] for stage in reader.stages(row["run"]) if stage["position"] < row["position"]]
    return next((checkpoint for checkpoint in reversed(before) if checkpoint), None)


def compared(reader: Reader, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The evaluations of ``runs`` with their gains on the untrained model's, those of untrained models first."""
    from engine.suites.comparison import compared, is_base

    wanted = {run["id"] for run in runs}
    rows = [row for row in compared(reader, runs[0]["group"]) if row["run"] in wanted or is_base(row)]
    return sorted(rows, key=lambda row: not is_base(row))


def print_report(console: Console, reader: Reader, runs: list[dict[str, Any]]) -> None:
    """The tables of ``ra3 show``: runs, then arms against pass@k, a table a suite."""
    first = runs[0]
    console.print(f"{first['name']}  group {first['group']}  {age(first['created'])} old", style="bold")
    console.print(_runs_table(reader, runs))
    by_suite: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in compared(reader, runs):
        by_suite[row["suite"]].append(row)
    for suite, rows in by_suite.items():
        console.print(f"{suite}  {rows[0]['problems']} problems, {rows[0]['n']} samples each", style="bold")
        console.print(_pass_table(rows))
    for best in best_evaluations(reader, runs):
        of = best["checkpoint"] or "the base model"
        console.print(f"best pass@{best['k']} of {best['suite']}: {100 * best['value']:.1f}, {of}", soft_wrap=True)


def print_latents(console: Console, reader: Reader, runs: list[dict[str, Any]], count: int = 3) -> None:
    """A few annotated traces of the last of ``runs`` that has some: those whose code their latents made likeliest."""
    found = [(run, reader.likeliest(run["id"], count)) for run in runs]
    run, traces = next(((run, traces) for run, traces in reversed(found) if traces), (None, []))
    if run is None:
        return
    console.print(f"{run['arm']}: what it was trained on, where comments helped most", style="bold")
    for trace in traces:
        console.print(f"\nbound {trace['gain']:.2f} nats above that without comments, the penalty paid", style="dim")
        console.print(trace["text"], highlight=False, markup=False)
    console.print("")


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _runs_table(reader: Reader, runs: list[dict[str, Any]]) -> Table:
    table = _table("run", "arm", "status", "step", "stages", right=["step"])
    for run in runs:
        stages = " > ".join(f"{s['kind']} {_stage_mark(s)}" for s in reader.stages(run["id"]))
        table.add_row(run["id"], run["arm"], run["status"], str(run["step"]), stages or "-")
        for line in (forked(run), *_changed(reader, run["id"]), run["error"]):
            if line:
                table.add_row("", "", "", "", line)
    return table


def forked(run: dict[str, Any]) -> str:
    """Where a run began, if from another run's checkpoint."""
    return f"from {run['parent']}@{run['parent_step']}" if run["parent"] else ""


def _changed(reader: Reader, run: str) -> list[str]:
    return [f"{row['key']} = {row['value']} behind step {row['step']}, by {row['who']}" for row in reader.changes(run)]


def _stage_mark(stage: dict[str, Any]) -> str:
    return duration(stage["seconds"]) if stage["status"] == "done" else str(stage["status"])


def _pass_table(rows: list[dict[str, Any]]) -> Table:
    """A row an evaluation. Costs are those of the stages before it, evaluations and measuring not counted."""
    ks = sorted({k for row in rows for k in row["pass"]})
    numbers = [name for k in ks for name in (f"pass@{k}", "Δ" if k == ks[0] else f"Δ@{k}")]
    costs = ["trained", "generated", "flop", "peak", "time"]
    table = _table("arm", "after", *numbers, *costs, right=[*numbers, *costs])
    for row in rows:
        cells = [text for k in ks for text in _pass_cells(row["pass"].get(k))]
        spent = [count(row[name]) for name in ("tokens_trained", "tokens_generated", "flops")]
        peak = f"{count(1e6 * row['peak_mb'])}B" if row["peak_mb"] else "-"
        table.add_row(row["arm"], row["after"] or "-", *cells, *spent, peak, duration(row["seconds"]))
    return table


def _pass_cells(cell: dict[str, Any] | None) -> tuple[str, str]:
    """pass@k in percent with its interval, and what it gained on the base in points, with its paired interval."""
    if cell is None:
        return "-", "-"
    value = f"{100 * cell['value']:.1f} [{100 * cell['low']:.0f}-{100 * cell['high']:.0f}]"
    return value, points_gained(cell)


def print_details(console: Console, reader: Reader, run: dict[str, Any]) -> None:
    """What ``ra3 show`` adds for one run: where its time went, its newest metrics, warnings, and last events."""
    work = _work_table(reader.stages(run["id"]))
    if work.row_count:
        console.print(f"{run['id']} {run['arm']}: seconds by kind of work", style="bold")
        console.print(work)
    metrics = _table("metric", "latest", right=["latest"])
    for key, value in reader.latest(run["id"]).items():
        metrics.add_row(key, f"{value:.6g}")
    if metrics.row_count:
        console.print(f"{run['id']} {run['arm']}", style="bold")
        console.print(metrics)
    for event in reader.rows(_WORTH_SHOWING, [run["id"], _LAST_WARNINGS, run["id"], _LAST_EVENTS]):
        console.print(event_line(run, event), soft_wrap=True)


def _work_table(stages: list[dict[str, Any]]) -> Table:
    kinds = sorted({kind for stage in stages for kind in stage["work"]})
    table = _table("stage", *kinds, "all", right=[*kinds, "all"])
    for stage in stages:
        if stage["work"]:
            spent = [f"{stage['work'].get(kind, 0.0):.1f}" for kind in kinds]
            table.add_row(stage["kind"], *spent, f"{stage['seconds']:.1f}")
    return table


def event_line(run: dict[str, Any], event: dict[str, Any]) -> str:
    """An event as one line, its level told where it is more than information."""
    mark = "" if event["level"] == "info" else f"{event['level']}: "
    return f"{run['id']} {run['arm']} step {event['step']}  {mark}{event['message']}"
