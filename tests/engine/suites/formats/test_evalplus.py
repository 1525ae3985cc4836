"""HumanEval+ and MBPP+: types of inputs, expected values by the reference, answers that count as EvalPlus has it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.suites.formats.evalplus import evalplus_problem
from engine.suites.formats.evalplus_oracles import Agreement
from engine.suites.loading import load_suite
from engine.suites.problem import Problem, SuiteError
from sandbox import Reference, Result, Sandbox, Verdict, open_sandbox

PASSED, WRONG = Verdict.PASSED, Verdict.WRONG_ANSWER


def record(task_id: str, entry_point: str, code: str, base: Any, plus: Any = (), atol: float = 0) -> dict[str, Any]:
    """A row as EvalPlus's files have it."""
    return {
        "task_id": task_id,
        "prompt": '"""\nA task.\n"""\n',
        "entry_point": entry_point,
        "canonical_solution": f"\n{code}\n",
        "base_input": base,
        "plus_input": list(plus),
        "contract": "",
        "atol": atol,
        "assertion": "",
    }


def problem(row: dict[str, Any]) -> Problem:
    dataset = "mbpp" if row["task_id"].startswith("Mbpp") else "humaneval"
    return evalplus_problem(dataset, "own", "own:1", 0, row)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(workers=1) as opened:
        yield opened


def judged(sandbox: Sandbox, row: dict[str, Any], *programs: str) -> list[Result]:
    return list(sandbox.judge([problem(row).job_of_program(program) for program in programs]))


def verdicts(sandbox: Sandbox, row: dict[str, Any], *programs: str) -> list[Verdict]:
    return [result.verdict for result in judged(sandbox, row, *programs)]


def _of_two(entry_point: str, body: str) -> str:
    return f"def {entry_point}(a, b):\n    return {body}\n"


def _of_one(entry_point: str, body: str) -> str:
    return f"def {entry_point}(a):\n    return {body}\n"


def _sets(number: int, name: str, one_argument: bool = False) -> tuple[dict[str, Any], str, str]:
    """A task whose answers are compared as sets: one in another order and with repeats is right, one short wrong."""
    if one_argument:
        row = record(f"Mbpp/{number}", name, _of_one(name, "[1, 2, 3]"), [["x"]])
        return row, _of_one(name, "(3, 2, 1, 1)"), _of_one(name, "[1, 2]")
    row = record(f"Mbpp/{number}", name, _of_two(name, "[1, 2, 3]"), [[[1], [2]]])
    return row, _of_two(name, "(3, 2, 1, 1)"), _of_two(name, "[1, 2]")


def _not_none(number: int, name: str) -> tuple[dict[str, Any], str, str]:
    code = f"import re\n\ndef {name}(a):\n    return re.search('^a', a)\n"
    row = record(f"Mbpp/{number}", name, code, [["abc"], ["bc"]])
    return row, _of_one(name, "'Found' if a.startswith('a') else None"), _of_one(name, "'Found'")


_SURFACE = "(a * a) + 2 * a * b"
_BY_HEIGHT = "round(a * a + 2 * a * ((a / 2) ** 2 + b * b) ** 0.5)"
_DISTANCE = "sum(map(int, str(abs(a - b))))"
_BY_DIGITS = "sum(abs(int(x) - int(y)) for x, y in zip(str(a).zfill(9), str(b).zfill(9)))"
_ROOT = "def find_zero(xs):\n    return 2.0\n"
ORACLES: list[tuple[dict[str, Any], str, str]] = [
    (
        record("Mbpp/164", "are_equivalent", _of_two("are_equivalent", "a == b"), [[36, 57]]),
        _of_two("are_equivalent", "'whatever'"),
        _of_two("are_equivalent", "1 / 0"),
    ),
    (
        record("Mbpp/295", "sum_div", _of_one("sum_div", "sum(d for d in range(1, a) if a % d == 0)"), [[8], [12]]),
        _of_one("sum_div", "0"),
        _of_one("sum_div", "1"),
    ),
    (
        record("Mbpp/581", "surface_Area", _of_two("surface_Area", _SURFACE), [[3, 4], [1, 2]]),
        _of_two("surface_Area", _BY_HEIGHT),
        _of_two("surface_Area", "a + b"),
    ),
    (
        record("Mbpp/558", "digit_distance_nums", _of_two("digit_distance_nums", _DISTANCE), [[23, 56], [19, 21]]),
        _of_two("digit_distance_nums", _BY_DIGITS),
        _of_two("digit_distance_nums", "abs(a - b)"),
    ),
    _sets(2, "similar_elements"),
    _sets(7, "find_char_long", one_argument=True),
    _sets(111, "common_in_nested_lists", one_argument=True),
    _sets(140, "extract_singly", one_argument=True),
    _sets(232, "larg_nnum"),
    _sets(249, "intersection_array"),
    _sets(579, "find_dissimilar"),
    _sets(769, "Diff"),
    _not_none(1001, "check_str"),
    _not_none(1002, "text_match_three"),
    _not_none(1003, "text_starta_endb"),
    (
        record("HumanEval/32", "find_zero", _ROOT, [[[-8, 0, 2]]], atol=1e-4),
        "def find_zero(xs):\n    return -2.00000001\n",
        "def find_zero(xs):\n    return 1.9\n",
    ),
]
"""Of each special oracle a record, an answer that only the oracle lets pass, and one that is wrong."""


@pytest.mark.parametrize(("row", "right", "wrong"), ORACLES, ids=[row["entry_point"] for row, _, _ in ORACLES])
def test_a_special_oracle_lets_its_answer_pass_and_no_other(
    sandbox: Sandbox, row: dict[str, Any], right: str, wrong: str
) -> None:
    plain = row | {"entry_point": "g", "canonical_solution": row["canonical_solution"].replace(row["entry_point"], "g")}
    assert verdicts(sandbox, row, row["canonical_solution"], right) == [PASSED, PASSED]
    assert verdicts(sandbox, row, wrong)[0] in (WRONG, Verdict.RUNTIME_ERROR)
    assert verdicts(sandbox, plain, right.replace(row["entry_point"], "g")) == [WRONG]


@pytest.mark.parametrize(
    ("number", "given", "restored"),
    [
        (2, [[1], [2]], [(1,), (2,)]),
        (63, [[[1, 2], [3]]], [[(1, 2), (3,)]]),
        (75, [[[1, 2]], 3], [[(1, 2)], 3]),
        (106, [[1], [2]], [[1], (2,)]),
        (115, [[[1, 1], [], 3]], [[{1}, {}, {}]]),
        (124, ["1", "2+1j"], [1.0, 2 + 1j]),
        (250, [[1, 2], [1]], [(1, 2), [1]]),
        (252, ["1j"], [1j]),
        (259, [[[1], [2]], [[3]]], [((1,), (2,)), ((3,),)]),
        (278, [[1, [2], "x"]], [(1, (2,), "x")]),
        (307, [[1, []], 1, 2], [(1, []), 1, 2]),
        (580, [[1, [2, [3]]]], [(1, (2, (3,)))]),
        (722, [{"a": [1, 2]}, 3], [{"a": (1, 2)}, 3]),
        (3, [[1]], [[1]]),
    ],
)
def test_types_that_json_lacks_are_restored_by_the_tasks_number(number: int, given: Any, restored: Any) -> None:
    test = problem(record(f"Mbpp/{number}", "f", "", [given], [given])).test
    assert isinstance(test, Reference)
    assert [[repr(call) for call in calls] for _, calls in test.batches] == [[repr(restored)]] * 2


def test_humaneval_keeps_its_lists() -> None:
    test = problem(record("HumanEval/2", "f", "", [[[1], [2]]])).test
    assert isinstance(test, Reference)
    assert test.batches[0] == ("base", ([[1], [2]],))


def test_plus_counts_only_where_base_passes_and_the_first_failure_is_named(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "abs(a)"), [[1], [2]], [[3], [-4]])
    first, second, third = judged(sandbox, row, _of_one("f", "a"), _of_one("f", "1"), _of_one("f", "abs(a)"))
    assert (first.verdict, first.failed_test) == (WRONG, "plus case 2")
    assert (second.verdict, second.failed_test) == (WRONG, "base case 2")
    assert third.verdict is PASSED


def test_a_candidate_that_changes_its_arguments_changes_its_own(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "sum(a)"), [[[1, 2, 3]], [[4]]])
    honest = "def f(a):\n    total = sum(a)\n    a.clear()\n    return total\n"
    forger = "def f(a):\n    a.clear()\n    return 0\n"
    assert verdicts(sandbox, row, honest, forger) == [PASSED, WRONG]
    root = "def find_zero(xs):\n    xs.clear()\n    return 7.0\n"  # of no coefficients every number is a root
    assert verdicts(sandbox, ORACLES[-1][0], root) == [WRONG]
    changing = record("Mbpp/3", "f", "def f(a):\n    a.append(1)\n    return len(a)\n", [[[1, 2, 3]]] * 2)
    assert verdicts(sandbox, changing, _of_one("f", "len(a) + 1"), _of_one("f", "len(a)")) == [PASSED, WRONG]


def test_a_reference_that_raises_is_the_suites_fault(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "1 / a"), [[1], [0]])
    (result,) = judged(sandbox, row, _of_one("f", "1 / a if a else 0"))
    assert (result.verdict, result.detail) == (
        Verdict.TEST_ERROR,
        "the reference raises ZeroDivisionError in base case 2",
    )
    assert verdicts(sandbox, row, _of_one("f", "2")) == [WRONG]  # before it came to that


def test_floats_are_near_by_default_and_of_one_type(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "a / 3"), [[1], [2]])
    near, far = _of_one("f", "a / 3 + 9e-7"), _of_one("f", "a / 3 + 3e-6")
    assert verdicts(sandbox, row, near, far, _of_one("f", "a")) == [PASSED, WRONG, WRONG]


AGREEMENTS = [
    (0, [1.0, 1.0], True),
    (0, [1.0 + 9e-7, 1.0], True),
    (0, [1.0 + 2e-6, 1.0], False),
    (1e-3, [1.0 + 2e-6, 1.0], True),
    (0, [1, 1.0], True),
    (0, [True, 1.0], True),
    (0, [2, 1.9999999], False),  # of another type
    (0, [[1.0 + 9e-7], [1.0]], True),
    (0, [(1.0 + 9e-7,), [1.0]], False),
    (0, [[1.0, 1.0], [1.0]], False),
    (0, [[1.0 + 9e-7, 2], [1.0, 2]], False),  # not all of them floats
    (1e-3, [[1.0 + 9e-7, [2]], [1.0, [2]]], True),
    (0, [float("nan"), float("nan")], False),
    (1e-3, [float("inf"), float("inf")], True),
    (1e-3, [1e300, float("inf")], False),
    (1e-3, ["a", "b"], False),
    (0, [1e9 + 50, 1e9], True),  # within the relative tolerance
    (0, [1e9 + 200, 1e9], False),
]


@pytest.mark.parametrize(("atol", "pair", "agrees"), AGREEMENTS)
def test_an_answer_agrees_as_numpy_would_say(atol: float, pair: list[Any], agrees: bool) -> None:
    assert bool(Agreement("mbpp", "f", atol)(*pair, ([],))) is agrees


def test_the_tolerance_of_floats_stays_for_the_inputs_that_follow_in_a_batch() -> None:
    agreement = Agreement("mbpp", "f", 0)
    assert not agreement(100_000_001, 100_000_000, [])
    assert agreement(1.0, 1.0, [])
    assert agreement(100_000_001, 100_000_000, [])


def test_the_tolerance_begins_anew_with_the_next_batch(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "a"), [[1.0], [100_000_000]], [[100_000_000]])
    program = "calls = []\n\ndef f(a):\n    calls.append(a)\n    return a + 1 if len(calls) == {} else a\n"
    assert verdicts(sandbox, row, program.format(2), program.format(3)) == [PASSED, WRONG]


def test_an_oracle_is_of_its_own_data_set_alone() -> None:
    assert Agreement("mbpp", "sum_div", 0)(0, 7, [8])
    assert not Agreement("humaneval", "sum_div", 0)(0, 7, [8])
    assert not Agreement("humaneval", "Diff", 0)([2, 1], [1, 2], [8])


@pytest.mark.medium
def test_a_call_that_does_not_come_back_is_over_its_time_before_the_whole_problem_is(sandbox: Sandbox) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "a"), [[1], [2]])
    test = Reference(
        "f", row["canonical_solution"], "def agrees(a, b, c):\n    return a == b", (("base", ([1],)),), 0.3
    )
    loop, sleep = "def f(a):\n    while True: pass\n", "import time\n\ndef f(a):\n    time.sleep(60)\n"
    jobs = [problem(row).job_of_program(program) for program in (loop, sleep)]
    results = list(sandbox.judge([type(job)(job.program, test, job.limits) for job in jobs]))
    assert [(result.verdict, result.failed_test) for result in results] == [(Verdict.TIME_LIMIT, "base case 1")] * 2
    assert max(result.wall_s for result in results) < 15  # of 60 s of CPU


def test_a_slow_reference_gives_time(sandbox: Sandbox) -> None:
    slow = "def f(a):\n    for _ in range(2_000_000): pass\n    return a\n"
    row = record("Mbpp/3", "f", slow, [[1]])
    test = Reference(
        "f", row["canonical_solution"], "def agrees(a, b, c):\n    return a == b", (("base", ([1],)),), 0.001, 50.0
    )
    job = problem(row).job_of_program(slow)
    (result,) = sandbox.judge([type(job)(job.program, test, job.limits)])
    assert result.verdict is PASSED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"atol": None}, "'atol' must be a number"),
        ({"base_input": 3}, "'base_input' must be a list of lists of arguments"),
        ({"base_input": []}, "'base_input' is empty"),
        ({"plus_input": [[1], 2]}, "'plus_input' must be a list of lists of arguments"),
        ({"task_id": "Mbpp/252", "base_input": [["one"]]}, "'base_input' is not what Mbpp/252 takes"),
        ({"canonical_solution": None}, "'canonical_solution' must be text"),
    ],
)
def test_a_damaged_row_is_one_line_with_its_place(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    row = record("Mbpp/3", "f", _of_one("f", "a"), [[1]])
    path = tmp_path / "plus.jsonl"
    path.write_text(f"{json.dumps(row)}\n{json.dumps(row | changes)}\n")
    with pytest.raises(SuiteError, match=f"plus.jsonl:2: {words}") as caught:
        load_suite(f"mbpp+:{path}")
    assert "\n" not in str(caught.value)


def test_no_plus_inputs_may_be_told_as_an_empty_object(tmp_path: Path) -> None:
    path = tmp_path / "plus.jsonl"
    path.write_text(json.dumps(record("Mbpp/793", "f", _of_one("f", "a"), [[1]]) | {"plus_input": {}}))
    (read,) = load_suite(f"mbpp+:{path}").problems
    assert isinstance(read.test, Reference)
    assert read.test.batches[1] == ("plus", ())
    assert (read.limits.cpu_s, read.limits.memory_mb, read.test.call_s, read.test.times_reference) == (60, 4096, 4, 4)
    assert read.program(read.reference or "").startswith('"""\nA task.\n"""\ndef f(a):')


@pytest.mark.slow
@pytest.mark.skipif("RA3_MBPPPLUS" not in os.environ, reason="set RA3_MBPPPLUS to the path of MbppPlus.jsonl[.gz]")
def test_every_reference_of_mbpp_plus_passes_base_and_plus() -> None:
    problems = load_suite(f"mbpp+:{os.environ['RA3_MBPPPLUS']}").problems
    with open_sandbox() as sandbox:
        results = list(sandbox.judge(p.job(p.reference or "") for p in problems))
    assert {result.tag: result.verdict for result in results} == {p.task_id: PASSED for p in problems}
