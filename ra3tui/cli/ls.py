"""``ra3 ls``: the runs that are here."""

from __future__ import annotations

from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ra3tui.cli.options import HOME, AsJson, Home, age, duration, print_json, stdout
from ra3tui.cli.report import forked

if TYPE_CHECKING:
    from rich.table import Table

    from engine.store.reader import Reader

_KEYS = (
    *("id", "group", "name", "arm", "status", "stage", "step", "progress", "eta_s", "device", "created", "error"),
    *("parent", "parent_step"),
)


def ls(as_json: AsJson = False, home: Home = HOME) -> None:
    """List runs, the newest group first."""
    from engine.store.reader import Reader

    with closing(Reader(home)) as reader:
        runs = _listed(reader)
    if as_json:
        print_json({"runs": runs})
    else:
        stdout().print(_table(runs))


def _listed(reader: Reader) -> list[dict[str, Any]]:
    best = {row["run"]: row["best"] for row in reader.rows(_BEST)}
    return [{key: run[key] for key in _KEYS} | {"best_pass@1": best.get(run["id"])} for run in reader.runs()]


_BEST = "SELECT run, max(value) AS best FROM evals WHERE k = 1 GROUP BY run"


def _table(runs: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("group", "run", "arm", "status", "stage"):
        table.add_column(name)
    for name in ("step", "progress", "ETA", "best pass@1", "age"):
        table.add_column(name, justify="right")
    for group, members in groupby(runs, key=lambda run: run["group"]):
        for number, run in enumerate(members):
            table.add_row(f"{group} {run['name']}" if number == 0 else "", *_cells(run))
    return table


def _cells(run: dict[str, Any]) -> list[str]:
    progress = "-" if run["progress"] is None else f"{100 * run['progress']:.0f}%"
    best = "-" if run["best_pass@1"] is None else f"{100 * run['best_pass@1']:.1f}"
    eta = duration(run["eta_s"]) if run["status"] == "running" else "-"
    arm = f"{run['arm']} {forked(run)}".rstrip()
    head = [run["id"], arm, run["status"], run["stage"] or "-", str(run["step"])]
    return [*head, progress, eta, best, age(run["created"])]
