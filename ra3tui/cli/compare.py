"""``ra3 compare``: arms of one or several launches side by side, over their seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import UsageFault
from ra3tui.cli.options import HOME, AsJson, Home, count, duration, safe_json, stdout, talk
from ra3tui.cli.output import Out, deliver

if TYPE_CHECKING:
    from rich.table import Table

    from engine.reports.convergence import Learning
    from engine.store.reader import Reader

References = Annotated[
    list[str], typer.Argument(metavar="GROUP...", help="Groups or runs: launches of one recipe under several seeds …")
]
Metric = Annotated[
    str | None,
    typer.Option(help="reward, of RLVR, or pass@K; reward where there is one when absent.", metavar="reward|pass@K"),
]
Level = Annotated[float | None, typer.Option(min=0, max=1, help="A value, 0 to 1: what did it cost to reach it?")]
Against = Annotated[str | None, typer.Option(help="The arm that others are told the difference to; else the first.")]
SuiteName = Annotated[str | None, typer.Option("--suite", help="Of pass@K: the suite.")]
Position = Annotated[
    int | None, typer.Option("--position", min=0, help="Of pass@K: evaluations up to this place in the arm, from 0.")
]
Window = Annotated[int | None, typer.Option(min=1, help="Of reward: updates whose running mean is the curve; 3.")]


def compare(
    references: References,
    metric: Metric = None,
    level: Level = None,
    against: Against = None,
    suite: SuiteName = None,
    position: Position = None,
    window: Window = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a row an arm as CSV.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table.")] = False,
    as_svg: Annotated[bool, typer.Option("--svg", help="Print the curves as a chart, means and extremes.")] = False,
    out: Out = None,
    home: Home = HOME,
) -> None:
    """Compare how fast arms learn and what they come to: means over seeds and problems, with 95% intervals."""
    from engine.reports.convergence import compared
    from engine.reports.tables import csv_lines
    from engine.store.reader import Reader

    forms = as_json + as_csv + as_latex + as_svg
    if forms > 1:
        raise UsageFault("--json, --csv, --latex and --svg: give one of them")
    if out is not None and not forms:
        raise UsageFault("--out: say what is to be written there, by --json, --csv, --latex or --svg")
    if as_svg and (level is not None or against is not None):
        raise UsageFault("--level and --against are of tables, not of --svg")
    with closing(Reader(home)) as reader:
        k, learnings = _learnings(reader, references, metric, suite, position, window)
    name = f"pass@{k}" if k else "reward"
    if as_svg:
        deliver(_chart(name, learnings), out)
        return
    rows = compared(learnings, level=level, against=against, k=k or 1)
    if as_json:
        report = {"metric": name, "level": level, "against": against or rows[0]["arm"], "arms": rows}
        deliver(safe_json(report, indent=2, allow_nan=False) + "\n", out)
    elif as_csv:
        deliver(csv_lines([{"metric": name} | _flat(row) for row in rows]), out)
    elif as_latex:
        deliver(_latex(name, rows), out)
    else:
        stdout().print(_table(name, rows))


def _learnings(
    reader: Reader,
    references: Sequence[str],
    metric: str | None,
    suite: str | None,
    position: int | None,
    window: int | None,
) -> tuple[int | None, list[Learning]]:
    """k of pass@k, None for the reward, and the curves of every arm that has them."""
    from engine.reports.convergence import WINDOW, arms_of, passes_of, rewards_of
    from engine.runs.planning import named

    runs = {run["id"]: run for reference in references for run in named(reader, reference)}
    arms = arms_of(list(runs.values()), {run: reader.run(run)["config"] for run in runs})
    k = _k(metric, any(reader.series(run, "rlvr/reward") for run in runs) and suite is None and position is None)
    if k is None:
        if suite is not None or position is not None:
            raise UsageFault("--suite and --position are of --metric pass@K")
        found = rewards_of(reader, arms, window or WINDOW)
    else:
        if window is not None:
            raise UsageFault("--window is of --metric reward")
        found = passes_of(reader, arms, k, suite, position)
    _tell(runs, arms_left=[arm.name for arm in arms if arm.name not in {own.arm.name for own in found}])
    return k, found


def _k(metric: str | None, rewarded: bool) -> int | None:
    if metric is None:
        return None if rewarded else 1
    if metric == "reward":
        return None
    match = re.fullmatch(r"pass@([1-9]\d*)", metric)
    if match is None:
        raise UsageFault(f"--metric {metric!r}: write reward, or pass@K with a number, such as pass@1")
    return int(match[1])


def _tell(runs: Mapping[str, Mapping[str, Any]], arms_left: Sequence[str]) -> None:
    if arms_left:
        talk(f"left out, as not every run of theirs has such numbers: {', '.join(arms_left)}")
    if unfinished := [f"{run['id']} {run['status']}" for run in runs.values() if run["status"] != "done"]:
        talk(f"not done, compared as far as they are: {', '.join(unfinished)}")


def _chart(metric: str, learnings: Sequence[Learning]) -> str:
    """The curves by arm, as far as all of an arm's go."""
    import numpy as np

    from engine.reports.charts import line_chart

    curves = {}
    for learning in learnings:
        shared = min(len(curve.values) for curve in learning.curves)
        curves[learning.arm.name] = np.array([curve.values[:shared] for curve in learning.curves])
    return line_chart(metric, "update" if metric == "reward" else "evaluation", "mean", curves)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of CSV: an interval in three columns, lists as words."""
    from engine.reports.convergence import COSTS

    flat = {"arm": row["arm"], "seeds": " ".join(map(str, row["seeds"])), "runs": " ".join(row["runs"])}
    flat |= {"level": row["level"], "reached": row["reached"]}
    for name in (*COSTS, "area", "final", "delta"):
        cell = row[name] or {}
        flat |= {name: cell.get("value"), f"{name}_low": cell.get("low"), f"{name}_high": cell.get("high")}
    return flat


def _latex(metric: str, rows: Sequence[Mapping[str, Any]]) -> str:
    from engine.reports.tables import latex

    head, cells = _cells(metric, rows)
    return f"% {metric} in percent, means over seeds, 95% intervals\n" + latex(head, cells)


def _table(metric: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    head, cells = _cells(metric, rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for line in cells:
        table.add_row(*line)
    return table


def _cells(metric: str, rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows for a person: values in percent, costs to the level where one was given."""
    costs = {"steps": _number, "tokens_trained": count, "tokens_generated": count, "flops": count, "seconds": duration}
    level = rows[0]["level"]
    names = ["steps", "trained", "generated", "flop", "time"]
    to_level = [] if level is None else [f"reached {100 * level:g}%", *names]
    head = ["arm", "seeds", *to_level, "area", metric, "difference"]
    cells = []
    for row in rows:
        line = [row["arm"], str(len(row["seeds"]))]
        if level is not None:
            line += [
                f"{row['reached']} of {len(row['seeds'])}",
                *(_cell(row[name], told) for name, told in costs.items()),
            ]
        cells.append([*line, *(_cell(row[name], told) for name, told in _VALUES)])
    return head, cells


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


_VALUES = (("area", _percent), ("final", _percent), ("delta", _points))


def _cell(cell: Mapping[str, Any] | None, told: Callable[[float], str]) -> str:
    """`57.1 [50.2, 63.0]`; without the interval where there is none."""
    if cell is None or cell["value"] is None:
        return "-"
    interval = "" if cell["low"] is None else f" [{told(cell['low'])}, {told(cell['high'])}]"
    return told(cell["value"]) + interval
