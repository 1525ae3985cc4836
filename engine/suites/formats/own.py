"""JSONL of one's own: `prompt` with `test` and `entry_point`, with `test_list`, or with `tests` of standard input."""

from __future__ import annotations

from engine.suites.formats.humaneval import HUMANEVAL_STOP, check_after
from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, called_function, id_at, stops_at, text_at, text_if_any, texts_at
from sandbox import Asserts, Check, Stdio

_KEYS = {"input", "output"}


def own_problem(suite: str, where: str, number: int, item: Record) -> Problem:
    """The problem of one line, the `number`-th of its file from 0. Raises SuiteError."""
    prompt = text_at(item, "prompt", where).rstrip("\n")
    solution = text_if_any(item, "reference" if "reference" in item else "canonical_solution", where)
    reference = None if solution is None else "\n" + solution.removeprefix("\n")
    test, entry_point = _own_test(item, prompt, reference or "", where)
    stop = stops_at(item, "stop", where, () if isinstance(test, Stdio) else HUMANEVAL_STOP)
    task_id = id_at(item, "task_id", where, number)
    return Problem(suite, task_id, prompt, entry_point, reference, stop, test, whole=isinstance(test, Stdio))


def _own_test(item: Record, prompt: str, reference: str, where: str) -> tuple[Check | Asserts | Stdio, str]:
    if item.get("tests") is not None:
        return _stdio(item, where), ""
    test = text_if_any(item, "test", where)
    if test is not None:
        entry_point = text_at(item, "entry_point", where)
        return check_after(prompt, test, entry_point), entry_point
    lines = texts_at(item, "test_list", where)
    entry_point = text_if_any(item, "entry_point", where) or called_function(lines[0], prompt + reference)
    return Asserts("\n".join(lines), setup=text_if_any(item, "test_setup_code", where) or ""), entry_point


def _stdio(item: Record, where: str) -> Stdio:
    """Whole programs: pairs of standard input and output, and perhaps the source of a `check` of one's own."""
    tests = item["tests"]
    if not isinstance(tests, list) or not tests or not all(isinstance(t, dict) and t.keys() >= _KEYS for t in tests):
        raise SuiteError(f"{where}: 'tests' must be a list of objects with 'input' and 'output'")
    cases = tuple((text_at(test, "input", where), text_at(test, "output", where)) for test in tests)
    return Stdio(cases, checker=text_if_any(item, "checker", where))
