"""MBPP (Austin et al., 2021): three asserts a problem, and the usual splits by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.suites.problem import Problem, SuiteError
from engine.suites.records import called_function, read_objects, text_at, texts_at
from engine.text import unix_newlines
from sandbox import Asserts, Limits

MBPP_STOP = ('\n"""', "\nassert")
MBPP_LIMITS = Limits(cpu_s=10)  # the reference of 123 computes for over 3 seconds
MBPP_SPLITS = {"mbpp": range(11, 511), "mbpp-train": range(601, 975), "mbpp-all": range(1, 975)}


def mbpp_prompt(text: str, tests: Sequence[str]) -> str:
    """The usual zero-shot prompt of MBPP: a docstring of the task and its tests (Fried et al., 2022, InCoder)."""
    lines = [text.strip(), *(test.strip() for test in tests)]
    return unix_newlines('"""\n' + "\n".join(lines) + '\n"""')


def read_mbpp(suite: str, path: Path, split: range) -> list[Problem]:
    """The problems of MBPP's file whose ids are in `split`. Raises SuiteError."""
    problems = []
    for where, item in read_objects(path):
        number = item.get("task_id")
        if not isinstance(number, int):
            raise SuiteError(f"{where}: 'task_id' must be a number; is this MBPP's file?")
        if number not in split:
            continue
        tests, code = texts_at(item, "test_list", where), text_at(item, "code", where)
        problem = Problem(
            suite=suite,
            task_id=f"MBPP/{number}",
            prompt=mbpp_prompt(text_at(item, "text", where), tests),
            entry_point=called_function(tests[0], code),
            reference="\n" + code,
            stop=MBPP_STOP,
            test=Asserts("\n".join(tests), setup=unix_newlines(item.get("test_setup_code") or "")),
            limits=MBPP_LIMITS,
        )
        problems.append(problem)
    return problems
