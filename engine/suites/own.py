"""JSONL of one's own: `prompt` with `test` and `entry_point`, or with `test_list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.suites.humaneval import HUMANEVAL_STOP, check_after
from engine.suites.problem import Problem
from engine.suites.records import called_function, read_objects, text_at, texts_at
from engine.text import unix_newlines
from sandbox import Asserts, Check


def read_own(suite: str, path: Path) -> list[Problem]:
    """The problems of a JSONL file. Raises SuiteError."""
    problems = []
    for number, (where, item) in enumerate(read_objects(path)):
        prompt = text_at(item, "prompt", where).rstrip("\n")
        solution = item.get("reference", item.get("canonical_solution"))
        reference = None if solution is None else "\n" + str(solution).removeprefix("\n")
        test, entry_point = _own_test(item, prompt, reference or "", where)
        stop = tuple(item.get("stop", HUMANEVAL_STOP))
        problems.append(Problem(suite, str(item.get("task_id", number)), prompt, entry_point, reference, stop, test))
    return problems


def _own_test(item: dict[str, Any], prompt: str, reference: str, where: str) -> tuple[Check | Asserts, str]:
    if "test" in item:
        entry_point = text_at(item, "entry_point", where)
        return check_after(prompt, text_at(item, "test", where), entry_point), entry_point
    lines = texts_at(item, "test_list", where)
    entry_point = str(item.get("entry_point") or called_function(lines[0], prompt + reference))
    return Asserts("\n".join(lines), setup=unix_newlines(item.get("test_setup_code") or "")), entry_point
