"""What the records of programming contests have in common: prompts for base models, calls, what stands before code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.suites.problem import SuiteError
from sandbox import Calls

CASE_S = 6.0
"""Seconds that LiveCodeBench gives one case, and those who train on its kind of problem."""
MOST_S = 120.0
"""CPU seconds of all cases together, whatever their number."""
STOP = ("###",)
_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
PRELUDE = "\n".join(
    [
        *(f"from {module} import *" for module in _STARRED),
        "import " + ", ".join(_STARRED),
        "sys.setrecursionlimit(50_000)",
        "sys.set_int_max_str_digits(50_000)",
    ]
)
"""What published solutions lean on, as LiveCodeBench's grader has it stand before them."""
_FUNCTION = ("Given a list of integers nums, return the sum of those that are even.",)
_EXAMPLE_STARTER = "class Solution:\n    def sumOfEven(self, nums: List[int]) -> int:\n        "
_EXAMPLE_METHOD = _EXAMPLE_STARTER + "return sum(num for num in nums if num % 2 == 0)"
_EXAMPLE_INPUT = (
    "The first line has an integer n, the second n integers. Print the sum of those that are even.\n\n"
    "Sample Input:\n3\n1 2 4\n\nSample Output:\n6"
)
_EXAMPLE_PROGRAM = "n = int(input())\nnums = list(map(int, input().split()))\nprint(sum(x for x in nums if x % 2 == 0))"


def base_prompt(question: str, starter: str) -> str:
    """One solved example, then the question: LiveCodeBench's form for base models. The example is our own."""
    if starter:
        example = _asked(*_FUNCTION, _EXAMPLE_STARTER) + _EXAMPLE_METHOD
    else:
        example = _asked(_EXAMPLE_INPUT, "") + _EXAMPLE_PROGRAM
    return f"{example}\n\n{_asked(question, starter)}".rstrip("\n")


def _asked(question: str, starter: str) -> str:
    given = f"### Starter Code\n{starter}\n\n" if starter else ""
    return f"### Question\n{question}\n\n{given}### Answer\n\n"


def function_calls(name: str, starter: str, cases: Sequence[tuple[list[Any], Any]], where: str) -> Calls:
    """Calls of a function, or of a method of one `Solution` for all of them. Raises SuiteError for an odd name."""
    if not name.isidentifier():
        raise SuiteError(f"{where}: the function is called {name!r}, which is no name in Python")
    method = not starter or "class Solution" in starter
    entry_point = f"Solution().{name}" if method else name
    told = tuple((tuple(arguments), value) for arguments, value in cases)
    return Calls(entry_point, told, tuples_are_lists=True, call_s=CASE_S)


def json_lines(text: str, where: str) -> list[Any]:
    """The value of each line. Raises SuiteError where one holds none."""
    return [json_value(line, "a line of a test's input", where) for line in text.split("\n") if line.strip()]


def json_value(text: str, what: str, where: str) -> Any:
    """The value that a text holds. Raises SuiteError, which names ``what`` it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{where}: {what} is not JSON ({error})") from error
