"""MBPP (Austin et al., 2021): three asserts a problem, and the usual splits by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, called_function, read_objects, text_at, text_if_any, texts_at, texts_if_any
from engine.text import unix_newlines
from sandbox import Asserts, Limits

SHOTS = (2, 3, 4)
FEW_SHOT_STOP = ("[DONE]",)
MBPP_STOP = ('\n"""', "\nassert")
MBPP_LIMITS = Limits(cpu_s=10)  # the reference of 123 computes for over 3 seconds
MBPP_SPLITS = {
    "mbpp": range(11, 511),
    "mbpp-3shot": range(11, 511),
    "mbpp-train": range(601, 975),
    "mbpp-all": range(1, 975),
}


def mbpp_prompt(text: str, tests: Sequence[str]) -> str:
    """The usual zero-shot prompt of MBPP: a docstring of the task and its tests (Fried et al., 2022, InCoder)."""
    lines = [text.strip(), *(test.strip() for test in tests)]
    return unix_newlines('"""\n' + "\n".join(lines) + '\n"""')


def few_shot_prompt(text: str, tests: Sequence[str]) -> str:
    """The prompt of the paper (Austin et al., 2021), which a program and `[DONE]` follow."""
    told = "\n".join(test.strip() for test in tests)
    task = f"You are an expert Python programmer, and here is your task: {text.strip()}"
    return unix_newlines(f"{task} Your code should pass these tests:\n\n{told}\n[BEGIN]")


def few_shot_prefix(file: Path) -> str:
    """The solved problems of the file that stand before each prompt. Raises SuiteError where it lacks one."""
    found = {item.get("task_id"): (where, item) for where, item in read_objects(file)}
    lacking = [number for number in SHOTS if number not in found]
    if lacking:
        raise SuiteError(f"{file}: the three shots are problems 2, 3 and 4, it has no {lacking[0]}; give MBPP's file")
    return "".join(_solved(*found[number]) for number in SHOTS)


def _solved(where: str, item: Record) -> str:
    prompt = few_shot_prompt(_text_of(item, where), texts_at(item, "test_list", where))
    return f"{prompt}\n{text_at(item, 'code', where).strip()}\n[DONE]\n\n"


def _text_of(item: Record, where: str) -> str:
    """What is asked; the sanitised file has another column for it."""
    return text_at(item, "prompt" if "text" not in item and "prompt" in item else "text", where)


def mbpp_problem(suite: str, where: str, split: range, item: Record, before: str = "") -> Problem | None:
    """The problem of one line of MBPP's file, after the solved ones ``before`` it, if any.

    None where its id is not in `split`. Raises SuiteError.
    """
    number = item.get("task_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise SuiteError(f"{where}: 'task_id' must be a number; is this MBPP's file?")
    if number not in split:
        return None
    tests, code = texts_at(item, "test_list", where), text_at(item, "code", where)
    text, imports = _text_of(item, where), texts_if_any(item, "test_imports", where)
    return Problem(
        suite=suite,
        task_id=f"MBPP/{number}",
        prompt=before + few_shot_prompt(text, tests) if before else mbpp_prompt(text, tests),
        entry_point=called_function(tests[0], code),
        reference="\n" + code,
        stop=FEW_SHOT_STOP if before else MBPP_STOP,
        test=Asserts("\n".join([*imports, *tests]), setup=text_if_any(item, "test_setup_code", where) or ""),
        limits=MBPP_LIMITS,
        whole=bool(before),
    )
