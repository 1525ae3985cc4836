"""Comparing what a program printed with what was expected of it."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

from .job import Stdio

_INTEGER = re.compile(r"([+-]?)0*(\d+)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

_YES_OR_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE | re.ASCII)


def printed_right(output: str, expected: str, test: Stdio) -> bool:
    """Whether the output counts as the expected one, as the suite compares."""
    if test.compare == "exact":
        return _lines(output) == _lines(expected)
    if test.compare == "tokens":
        return output.split() == expected.split()
    if test.compare == "decimals":
        got, wanted = output.strip().split("\n"), expected.strip().split("\n")
        return len(got) == len(wanted) and all(map(_same_decimals, got, wanted))
    if test.compare == "folded":
        return _folded(output) == _folded(expected)
    got, wanted = output.split(), expected.split()
    return len(got) == len(wanted) and all(_near(g, w, test.tolerance) for g, w in zip(got, wanted, strict=True))


def _lines(text: str) -> list[str]:
    """Lines without trailing blanks, the last line's end not counting: what every judge calls exact."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _same_decimals(got: str, wanted: str) -> bool:
    """Equal as text, or as numbers, word by word: 1 is 1.0 and 1e0, and nan is nothing."""
    if got.strip() == wanted.strip():
        return True
    try:
        return [Decimal(word) for word in got.split()] == [Decimal(word) for word in wanted.split()]
    except InvalidOperation:  # no number, or one that signals
        return False


def _folded(text: str) -> list[str]:
    """Lines that hold something, with one blank between words, and every yes and no in small letters."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [_YES_OR_NO.sub(lambda word: word[0].lower(), line) for line in lines if line]


def _near(got: str, wanted: str, tolerance: float) -> bool:
    """Equal as text or as integers, of any length; as numbers within the tolerance where one of them is none.

    A number is digits, a point, an exponent: no ``nan``, no ``1_0``, and none so large that no float holds it.
    """
    if got == wanted:
        return True
    integers = _INTEGER.fullmatch(got), _INTEGER.fullmatch(wanted)
    if integers[0] and integers[1]:
        return _signed(integers[0]) == _signed(integers[1])
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(wanted)):
        return False
    numbers = float(got), float(wanted)
    return all(map(math.isfinite, numbers)) and math.isclose(*numbers, rel_tol=tolerance, abs_tol=tolerance)


def _signed(integer: re.Match[str]) -> tuple[bool, str]:
    """Whether it is below zero, and its digits without zeros ahead."""
    sign, digits = integer.groups()
    return sign == "-" and digits != "0", digits
