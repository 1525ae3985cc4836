"""Tables as CSV, JSON lines, LaTeX and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from engine.reports.intervals import Interval

TableFormat = Literal["csv", "latex", "jsonl"]
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def csv_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the keys of the first row as its head; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line, in ASCII."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def latex(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A ``tabular`` with the rules of the package booktabs; all but its first ``words`` columns are numbers."""
    lines = [" & ".join(map(_escaped, row)) + r" \\" for row in (head, *rows)]
    columns = "l" * words + "r" * (len(head) - words)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def in_percent(interval: Interval, *, signed: bool = False) -> str:
    """`57.1 [50.2, 63.0]`."""
    value, low, high = (100 * part for part in interval)
    return f"{value:{'+' if signed else ''}.1f} [{low:.1f}, {high:.1f}]"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
