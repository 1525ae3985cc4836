"""Training sets for RLVR: DeepCoder-Preview's and AReaL-boba-2-RL-Code's records, with their tests made alike.

Both have functions called with JSON and programs that read standard input, in three forms: a list of tests; a dict of
`inputs` and `outputs` beside an `fn_name`, where arguments are lists and outputs each in a list of one; the same
without a name, where an input may be a list of lines. Records of thousands of tests are common: the first `MOST_TESTS`
are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.suites.formats.contests import (
    CASE_S,
    MOST_S,
    PRELUDE,
    STOP,
    base_prompt,
    function_calls,
    json_lines,
    json_value,
)
from engine.suites.problem import LeftOut, Problem, SuiteError
from engine.suites.records import Record, id_at, text_at, text_if_any
from sandbox import Limits, Stdio

MOST_TESTS = 20
_NOT_YET = 'globals().pop("{name}", None)'
"""No import may stand for the function that is asked for (`operator` has an `add`)."""
_EITHER = 'if "Solution" not in globals():\n    class Solution:\n        {name} = staticmethod(globals()["{name}"])\n'
"""Where a record does not say whether a method or a function is asked for, a function will do."""
Call = tuple[list[Any], Any]


def deepcoder_problem(suite: str, where: str, number: int, item: Record) -> Problem:
    """The problem of one line of DeepCoder-Preview. Raises SuiteError, or LeftOut where it has no tests."""
    tests = _loaded(item.get("tests"), "'tests'", where)
    metadata = _loaded(item.get("metadata") or "{}", "'metadata'", where)
    name = metadata.get("func_name") if isinstance(metadata, dict) else None
    starter = text_if_any(item, "starter_code", where) or ""
    question = text_at(item, "problem", where)
    return _problem(suite, id_at(item, "id", where, number), question, starter, (tests, name), _solution(item), where)


def areal_problem(suite: str, where: str, number: int, item: Record) -> Problem:
    """The problem of one line of AReaL-boba-2-RL-Code. Raises SuiteError, or LeftOut where it has no tests."""
    tests = _loaded(item.get("input_output"), "'input_output'", where)
    question, task_id = text_at(item, "prompt", where), id_at(item, "query_id", where, number)
    return _problem(suite, task_id, question, "", (tests, None), _solution(item), where)


def _problem(
    suite: str, task_id: str, question: str, starter: str, asked: tuple[Any, Any], solution: str | None, where: str
) -> Problem:
    tests, name = asked
    name, cases = _cases(tests, name, where)
    if not cases:
        raise LeftOut("without tests")
    count = len(cases)
    test = function_calls(name, starter, cases, where) if name else Stdio(tuple(cases), compare="decimals")
    return Problem(
        suite=suite,
        task_id=task_id,
        prompt=base_prompt(question, starter or (f"class Solution:\n    def {name}(self, " if name else "")),
        entry_point="Solution" if name else "",
        reference=solution,
        stop=STOP,
        test=test,
        limits=Limits(cpu_s=min(MOST_S, CASE_S * count) if name else CASE_S, deadline_s=CASE_S * count),
        whole=True,
        prelude=f"{PRELUDE}\n{_NOT_YET.format(name=name)}" if name else PRELUDE,
        postlude=_EITHER.format(name=name) if name and not starter else "",
    )


def _solution(item: Record) -> str | None:
    """The first of the record's own, out of its fences."""
    solutions = item.get("solutions")
    first = solutions[0] if isinstance(solutions, list) and solutions else solutions
    if not isinstance(first, str) or not first.strip():
        return None
    lines = first.strip().split("\n")
    return "\n".join(lines[1:-1] if lines[0].startswith("```") and lines[-1].startswith("```") else lines)


def _loaded(value: Any, what: str, where: str) -> Any:
    """A value, or the one that a text holds."""
    return json_value(value, what, where) if isinstance(value, str) else value


def _cases(tests: Any, name: Any, where: str) -> tuple[str | None, list[Any]]:
    """The function's name, None for a program, and its cases: calls and values, or texts in and out."""
    if isinstance(tests, list):
        return _of_list(tests[:MOST_TESTS], name, where)
    if not isinstance(tests, dict):
        raise SuiteError(f"{where}: its tests must be a list of tests, or an object with 'inputs' and 'outputs'")
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise SuiteError(f"{where}: 'inputs' and 'outputs' must be lists of one length")
    name = tests.get("fn_name") or name
    pairs = list(zip(inputs, outputs, strict=True))[:MOST_TESTS]
    if name is None:
        return None, [(_lines(given, where), _lines(wanted, where)) for given, wanted in pairs]
    wrapped = _are_wrapped(outputs)
    return _named(name, where), [_call(given, wanted, where, wrapped) for given, wanted in pairs]


def _of_list(tests: Sequence[Any], name: Any, where: str) -> tuple[str | None, list[Any]]:
    if not all(isinstance(test, dict) and {"input", "output"} <= test.keys() for test in tests):
        raise SuiteError(f"{where}: a test must be an object with 'input' and 'output'")
    name = name or next((_name_in(test) for test in tests if _name_in(test)), None)
    kinds = {test.get("testtype") or test.get("type") for test in tests}
    if name is None or kinds & {"stdin", "stdin_stdout"}:
        return None, [(_lines(test["input"], where), _lines(test["output"], where)) for test in tests]
    wrapped = _are_wrapped([test["output"] for test in tests])
    return _named(name, where), [_call(test["input"], test["output"], where, wrapped) for test in tests]


def _name_in(test: dict[str, Any]) -> Any:
    metadata = test.get("metadata")
    return metadata.get("func_name") if isinstance(metadata, dict) else test.get("fn_name")


def _named(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise SuiteError(f"{where}: the name of the function is no text")
    return name


def _are_wrapped(outputs: Sequence[Any]) -> bool:
    """Whether each stands in a list of its own."""
    return all(isinstance(wanted, list) and len(wanted) == 1 for wanted in outputs)


def _call(given: Any, wanted: Any, where: str, wrapped: bool = False) -> Call:
    """Arguments and value. Where arguments are told as text, a JSON value a line, the value is told so too."""
    if isinstance(given, str):
        arguments = json_lines(given, where)
        return arguments, json_value(wanted, "a test's output", where) if isinstance(wanted, str) else wanted
    if not isinstance(given, list):
        raise SuiteError(f"{where}: the arguments of a call must be a list, or text of one a line")
    return given, wanted[0] if wrapped else wanted


def _lines(text: Any, where: str) -> str:
    """Standard input or output, which may be told as a list of lines."""
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "\n".join(line.rstrip("\n") for line in text) + "\n"
    if not isinstance(text, str):
        raise SuiteError(f"{where}: standard input and output must be text, or a list of lines")
    return text
