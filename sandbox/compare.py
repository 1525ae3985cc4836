"""Comparing what a program printed with what was expected of it."""

from __future__ import annotations

import math

from .job import Stdio


def printed_right(output: str, expected: str, test: Stdio) -> bool:
    """Whether the output counts as the expected one, as the suite compares."""
    if test.compare == "exact":
        return _lines(output) == _lines(expected)
    if test.compare == "tokens":
        return output.split() == expected.split()
    got, wanted = output.split(), expected.split()
    return len(got) == len(wanted) and all(_near(g, w, test.tolerance) for g, w in zip(got, wanted, strict=True))


def _lines(text: str) -> list[str]:
    """Lines without trailing blanks, the last line's end not counting: what every judge calls exact."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _near(got: str, wanted: str, tolerance: float) -> bool:
    """Equal as text, or as numbers within the tolerance; nan is near nothing."""
    if got == wanted:
        return True
    try:
        return math.isclose(float(got), float(wanted), rel_tol=tolerance, abs_tol=tolerance)
    except ValueError:
        return False
