"""The evaluations of a launch against its untrained model, problem by problem. Torch-free."""

from __future__ import annotations

from typing import Any

from engine.store.reader import Counts, Reader
from engine.suites.passk import paired_difference

BASE = "base"
"""What an evaluation comes after where no training did."""


def compared(reader: Reader, group: str) -> list[dict[str, Any]]:
    """`Reader.comparison` of ``group``, with what each pass@k gained on that of the base.

    The base of a suite is the first evaluation in the group that no training came before. Each cell of ``pass`` gets
    ``delta``, ``delta_low``, ``delta_high`` and ``delta_problems``, of `paired_difference`. Where the samples of one of
    the two are not in the store (those of a fork's parent are not its own) ``delta`` is the difference of the two
    values, without an interval; where there is no base, all are None.
    """
    rows = reader.comparison(group)
    bases: dict[str, dict[str, Any]] = {}
    for row in rows:
        if is_base(row):
            bases.setdefault(row["suite"], row)
    counts = {run: reader.eval_counts(run) for run in {row["run"] for row in rows}} if bases else {}
    for row in rows:
        base = bases.get(row["suite"])
        for k, cell in row["pass"].items():
            known = base is not None and not is_base(row) and k in base["pass"]
            cell.update(_gain(row, base, k, counts) if base is not None and known else dict.fromkeys(_KEYS))
    return rows


_KEYS = ("delta", "delta_low", "delta_high", "delta_problems")


def is_base(row: dict[str, Any]) -> bool:
    """Did no training come before this evaluation?"""
    return bool(row["after"] == BASE)


def _gain(row: dict[str, Any], base: dict[str, Any], k: int, counts: dict[str, Counts]) -> dict[str, Any]:
    ours, theirs = (counts[part["run"]].get((part["position"], part["suite"]), {}) for part in (row, base))
    paired = paired_difference(ours, theirs, k)
    if paired is None:
        return dict.fromkeys(_KEYS) | {"delta": row["pass"][k]["value"] - base["pass"][k]["value"]}
    return dict(zip(_KEYS, (paired.value, paired.low, paired.high, paired.problems), strict=True))
