"""MBPP (Austin et al., 2021): three asserts a problem, and the usual splits by id."""

from __future__ import annotations

from collections.abc import Sequence

from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, called_function, text_at, text_if_any, texts_at, texts_if_any
from engine.text import unix_newlines
from sandbox import Asserts, Limits

MBPP_STOP = ('\n"""', "\nassert")
MBPP_LIMITS = Limits(cpu_s=10)  # the reference of 123 computes for over 3 seconds
MBPP_SPLITS = {"mbpp": range(11, 511), "mbpp-train": range(601, 975), "mbpp-all": range(1, 975)}


def mbpp_prompt(text: str, tests: Sequence[str]) -> str:
    """The usual zero-shot prompt of MBPP: a docstring of the task and its tests (Fried et al., 2022, InCoder)."""
    lines = [text.strip(), *(test.strip() for test in tests)]
    return unix_newlines('"""\n' + "\n".join(lines) + '\n"""')


def mbpp_problem(suite: str, where: str, split: range, item: Record) -> Problem | None:
    """The problem of one line of MBPP's file; None where its id is not in `split`. Raises SuiteError."""
    number = item.get("task_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise SuiteError(f"{where}: 'task_id' must be a number; is this MBPP's file?")
    if number not in split:
        return None
    tests, code = texts_at(item, "test_list", where), text_at(item, "code", where)
    text = "prompt" if "text" not in item and "prompt" in item else "text"  # the sanitised file's column
    imports = texts_if_any(item, "test_imports", where)
    return Problem(
        suite=suite,
        task_id=f"MBPP/{number}",
        prompt=mbpp_prompt(text_at(item, text, where), tests),
        entry_point=called_function(tests[0], code),
        reference="\n" + code,
        stop=MBPP_STOP,
        test=Asserts("\n".join([*imports, *tests]), setup=text_if_any(item, "test_setup_code", where) or ""),
        limits=MBPP_LIMITS,
    )
