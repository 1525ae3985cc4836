"""When an answer counts as the reference's, as EvalPlus's own grader has it. Runs in the sandbox's judge, as text.

The judge runs this file's source followed by a line that makes `agrees`; so it imports nothing of ours. Where the
official grader compares by numpy, which would make `[[1.0]]` equal to `[1.0]`, shapes must be the same here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

RTOL = 1e-7
"""Relative tolerance, beside the absolute one."""
ATOL_OF_FLOATS = 1e-6
"""Absolute tolerance where a task states none and the reference gives floats."""
AS_SETS = {
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
    *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
}
"""Functions of MBPP whose answers are compared as sets."""
NOT_NONE = {"check_str", "text_match_three", "text_starta_endb"}
"""Functions of MBPP of whose answers only counts whether there is one."""


class Agreement:
    """The comparison for one task and one batch of its inputs."""

    def __init__(self, dataset: str, entry_point: str, atol: float) -> None:
        self._special = _SPECIAL.get((dataset, entry_point))
        self._entry_point = entry_point if dataset == "mbpp" else ""
        self._atol = atol

    def __call__(self, answer: Any, expected: Any, arguments: Any) -> bool:
        """Whether ``answer`` counts as ``expected``; may raise what comparing them raises."""
        if self._special is _is_root:
            return _is_root(answer, arguments, self._atol)
        exact = self._exact(answer, expected, arguments)
        if self._atol == 0 and _is_floats(expected):
            self._atol = ATOL_OF_FLOATS  # from now on: the official grader keeps it for the inputs that follow
        if exact or self._atol == 0:
            return exact
        return type(answer) is type(expected) and close(answer, expected, self._atol)

    def _exact(self, answer: Any, expected: Any, arguments: Any) -> bool:
        if self._entry_point in AS_SETS:
            return set(answer) == set(expected)
        if self._entry_point in NOT_NONE:
            there = expected is not None
            return answer == there if isinstance(answer, bool) else there == (answer is not None)
        if answer == expected:
            return True
        return self._special is not None and self._special(answer, arguments, self._atol)


def close(answer: Any, expected: Any, atol: float) -> bool:
    """Whether every number is within the tolerances of its counterpart; nan is within none."""
    if isinstance(expected, list | tuple):
        if not isinstance(answer, list | tuple) or len(answer) != len(expected):
            return False
        return all(close(one, other, atol) for one, other in zip(answer, expected, strict=True))
    if not isinstance(expected, int | float | complex) or not isinstance(answer, int | float | complex):
        return False
    if answer == expected:
        return True  # infinities too
    difference = abs(answer - expected)
    return bool(difference <= atol + RTOL * abs(expected)) and math.isfinite(abs(expected))


def _is_floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _is_root(answer: Any, arguments: Any, atol: float) -> bool:
    """HumanEval/32: any root of the polynomial will do."""
    (coefficients,) = arguments
    return bool(abs(sum(c * math.pow(answer, i) for i, c in enumerate(coefficients))) <= atol)


def _anything(_: Any, __: Any, ___: float) -> bool:
    """Mbpp/164 is not what its text says: every answer counts."""
    return True


def _is_zero(answer: Any, _: Any, __: float) -> bool:
    """Mbpp/295 by another reading of its text."""
    return bool(answer == 0)


def _is_surface(answer: Any, arguments: Any, atol: float) -> bool:
    """Mbpp/581 where the height is that of the pyramid, not that of its sides."""
    base, height = arguments
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return bool(abs(answer - round(base**2 + 4 * (base * slant) / 2)) <= atol)


def _is_digit_distance(answer: Any, arguments: Any, _: float) -> bool:
    """Mbpp/558 digit by digit, and not by the digits of the difference."""
    one, other = (str(number) for number in arguments)
    width = max(len(one), len(other))
    pairs = zip(one.zfill(width), other.zfill(width), strict=True)
    return bool(answer == sum(abs(int(a) - int(b)) for a, b in pairs))


_SPECIAL: dict[tuple[str, str], Callable[[Any, Any, float], bool]] = {
    ("humaneval", "find_zero"): _is_root,
    ("mbpp", "are_equivalent"): _anything,
    ("mbpp", "sum_div"): _is_zero,
    ("mbpp", "surface_Area"): _is_surface,
    ("mbpp", "digit_distance_nums"): _is_digit_distance,
}
