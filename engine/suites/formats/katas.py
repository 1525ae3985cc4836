"""The katas as problems: `katas`, `katas-dev` and `katas-rlvr` are splits that have no function in common.

A suite's name may end in the most terms a key has, the dial of how hard it is: `katas-depth3`, `katas-rlvr-depth2`.
Their number has no end; a suite is the first `KATAS` of its split that hidden tests can be had for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice

from engine.katas.judging import hidden_inputs
from engine.katas.operations import Value
from engine.katas.programs import ENTRY_POINT, MOST_TERMS, Kata
from engine.katas.splits import Split, draw_katas
from engine.suites.problem import Problem
from sandbox import Asserts

KATAS = 1000
"""Problems of a suite."""
_NAME = re.compile(rf"katas(?:-(?P<split>dev|rlvr))?(?:-depth(?P<depth>[1-{MOST_TERMS}]))?")
_SPLITS: dict[str | None, Split] = {None: "test", "dev": "dev", "rlvr": "rlvr"}
_STOP = ("\ndef ", "\nclass ", "\nfrom ", "\nimport ")


def is_katas(name: str) -> bool:
    """Is this the name of a suite of katas?"""
    return _NAME.fullmatch(name) is not None


@cache
def kata_problems(name: str, count: int) -> tuple[Problem, ...]:
    """The first ``count`` problems of the suite of that name, in an order that is always the same."""
    katas = islice(judged_katas(name), count)
    return tuple(_problem(name, number, kata, inputs) for number, (kata, inputs) in enumerate(katas))


def judged_katas(name: str) -> Iterator[tuple[Kata, list[Value]]]:
    """The katas of the suite of that name without end, each with the inputs of its hidden tests; no function twice."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is no suite of katas")
    seen: set[str] = set()
    for kata in draw_katas(_SPLITS[match["split"]], depth=int(match["depth"] or MOST_TERMS)):
        inputs = hidden_inputs(kata)
        if inputs is not None and kata.normal_form not in seen:
            seen.add(kata.normal_form)
            yield kata, inputs


def _problem(suite: str, number: int, kata: Kata, inputs: list[Value]) -> Problem:
    tests = [f"assert {ENTRY_POINT}({value!r}) == {kata.apply(value)!r}" for value in inputs]
    return Problem(
        suite=suite,
        task_id=f"{suite}/{number}",
        prompt=kata.prompt,
        entry_point=ENTRY_POINT,
        reference=kata.code,
        stop=_STOP,
        test=Asserts("\n".join(["import datetime", *tests])),
    )
