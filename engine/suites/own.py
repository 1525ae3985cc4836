"""JSONL of one's own: `prompt` with `test` and `entry_point`, or with `test_list`."""

from __future__ import annotations

from engine.suites.humaneval import HUMANEVAL_STOP, check_after
from engine.suites.problem import Problem
from engine.suites.records import Record, called_function, id_at, stops_at, text_at, text_if_any, texts_at
from sandbox import Asserts, Check


def own_problem(suite: str, where: str, number: int, item: Record) -> Problem:
    """The problem of one line, the `number`-th of its file from 0. Raises SuiteError."""
    prompt = text_at(item, "prompt", where).rstrip("\n")
    solution = text_if_any(item, "reference" if "reference" in item else "canonical_solution", where)
    reference = None if solution is None else "\n" + solution.removeprefix("\n")
    test, entry_point = _own_test(item, prompt, reference or "", where)
    stop = stops_at(item, "stop", where, HUMANEVAL_STOP)
    return Problem(suite, id_at(item, "task_id", where, number), prompt, entry_point, reference, stop, test)


def _own_test(item: Record, prompt: str, reference: str, where: str) -> tuple[Check | Asserts, str]:
    test = text_if_any(item, "test", where)
    if test is not None:
        entry_point = text_at(item, "entry_point", where)
        return check_after(prompt, test, entry_point), entry_point
    lines = texts_at(item, "test_list", where)
    entry_point = text_if_any(item, "entry_point", where) or called_function(lines[0], prompt + reference)
    return Asserts("\n".join(lines), setup=text_if_any(item, "test_setup_code", where) or ""), entry_point
