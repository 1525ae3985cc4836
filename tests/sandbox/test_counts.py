"""How many of a problem's tests a candidate passes, where that is asked, and that asking changes nothing else."""

from __future__ import annotations

import pytest

from sandbox import Asserts, Calls, Check, Job, Limits, Program, Reference, Result, Sandbox, Stdio, Test, Verdict
from sandbox.verdicts import Decision, with_count
from tests.sandbox.conftest import QUICK, Judge

pytestmark = pytest.mark.medium

DOUBLE = "def double(x):\n    return x + x\n"
SQUARE = "def double(x):\n    return x * x\n"
ONLY_NUMBERS = "def double(x):\n    return x * 2.0\n"
ASSERTS = Asserts("assert double(1) == 2\nassert double(2) == 4\nassert double('a') == 'aa'\nassert double(0) == 0\n")
CALLS = Calls("double", (((1,), 2), ((2,), 4), (("a",), "aa"), ((0,), 0)))
AGREES = "def agrees(answer, expected, arguments):\n    return answer == expected\n"
REFERENCE = Reference("double", DOUBLE, AGREES, (("base", ((1,), (2,))), ("plus", (("a",), (0,)))))
PRINTS = "n = int(input())\nif n == 3:\n    raise ValueError(n)\nprint(n * n)\n"
STDIO = Stdio((("1\n", "2\n"), ("2\n", "4\n"), ("3\n", "6\n"), ("0\n", "0\n")))


def counted(sandbox: Sandbox, program: str, test: Test, limits: Limits = QUICK) -> Result:
    (result,) = sandbox.judge([Job(program, test, limits, count=True)])
    return result


def share(result: Result) -> tuple[int, int]:
    return result.tests_passed, result.tests


@pytest.mark.parametrize("test", [ASSERTS, CALLS, REFERENCE], ids=["asserts", "calls", "reference"])
@pytest.mark.parametrize(
    ("program", "verdict", "passed"),
    [
        (DOUBLE, Verdict.PASSED, 4),
        (SQUARE, Verdict.WRONG_ANSWER, 2),
        (ONLY_NUMBERS, Verdict.RUNTIME_ERROR, 3),
        ("def double(x:\n", Verdict.SYNTAX_ERROR, 0),
        ("def other(x):\n    return x\n", Verdict.RUNTIME_ERROR, 0),
        ("import os\n" + DOUBLE.replace("return", "os._exit(0) if x == 2 else 0; return"), Verdict.EARLY_EXIT, 1),
        (DOUBLE.replace("return", "\n    while x == 'a': pass\n    return"), Verdict.TIME_LIMIT, 2),
    ],
)
def test_each_test_is_counted_by_itself(
    sandbox: Sandbox, program: str, verdict: Verdict, passed: int, test: Test
) -> None:
    result = counted(sandbox, program, test)
    assert (result.verdict, *share(result)) == (verdict, passed, 4)


@pytest.mark.parametrize("test", [ASSERTS, CALLS, REFERENCE, STDIO], ids=["asserts", "calls", "reference", "stdio"])
def test_counting_changes_neither_the_verdict_nor_which_test_failed_first(
    sandbox: Sandbox, judge: Judge, test: Test
) -> None:
    program = PRINTS if isinstance(test, Stdio) else SQUARE
    plain, told = judge(program, test), counted(sandbox, program, test)
    assert (told.verdict, told.failed_test) == (plain.verdict, plain.failed_test)
    assert told.verdict is Verdict.WRONG_ANSWER
    assert share(plain) == (0, 0)
    assert share(told) == (2, 4)


def test_cases_on_standard_input_are_counted_until_the_deadline_of_the_whole(sandbox: Sandbox) -> None:
    slow = "import time\nwhile time.process_time() < 0.2: pass\nprint(7)\n"
    cases = Stdio((("", "6\n"), *[("", "7\n")] * 5))
    result = counted(sandbox, slow, cases, Limits(cpu_s=1.0, deadline_s=0.5))
    assert (result.verdict, result.failed_test, result.tests) == (Verdict.WRONG_ANSWER, "case 1", 6)
    assert 0 < result.tests_passed < 4
    assert result.cpu_s < 1.0
    assert share(counted(sandbox, "print(7)", cases)) == (5, 6)


@pytest.mark.parametrize(("program", "passed"), [(DOUBLE, 1), (SQUARE, 0)])
def test_a_check_function_is_one_test(sandbox: Sandbox, program: str, passed: int) -> None:
    check = Check("def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 6\n", "double")
    assert share(counted(sandbox, program, check)) == (passed, 1)


def test_a_program_with_its_own_asserts_is_one_test(sandbox: Sandbox) -> None:
    assert share(counted(sandbox, "assert True", Program())) == (1, 1)
    assert share(counted(sandbox, "assert False", Program())) == (0, 1)


def test_a_loop_of_asserts_is_one_test_and_what_a_function_of_the_test_asserts_none(sandbox: Sandbox) -> None:
    near = "def near(a, b):\n    assert a == b\n"
    loop = "for n in (0, 2, 3):\n    assert double(n) == 2 * n\nassert double(2) == 4\n"
    assert share(counted(sandbox, SQUARE, Asserts(near + loop))) == (1, 2)
    assert share(counted(sandbox, DOUBLE, Asserts(near + "near(double(2), 4)"))) == (1, 1)


def test_behind_a_statement_that_the_tests_need_and_that_fails_none_is_run(sandbox: Sandbox) -> None:
    source = "assert double(1) == 2\nmade = double(None)\nassert double(2) == 4\nassert double(3) == 6"
    result = counted(sandbox, DOUBLE, Asserts(source))
    assert (result.verdict, result.failed_test) == (Verdict.RUNTIME_ERROR, "line 2 of the test")
    assert share(result) == (1, 3)


def test_statements_see_each_others_names_and_the_tests_own_future(sandbox: Sandbox) -> None:
    source = "from __future__ import annotations\nx = 3\ndef at(n: Nowhere):\n    return n\nassert double(at(x)) == 6"
    assert share(counted(sandbox, DOUBLE, Asserts(source))) == (1, 1)


def test_a_later_test_that_is_broken_masks_the_whole(sandbox: Sandbox) -> None:
    broken = Asserts("assert double(3) == 6\nimport no_such_module\nassert double(2) == 4")
    assert counted(sandbox, SQUARE, broken).verdict is Verdict.TEST_ERROR
    checker = "def check(stdin, expected, output):\n    return None if expected == '4' else False"
    result = counted(sandbox, "print(1)", Stdio((("", "2"), ("", "4"), ("", "6")), checker=checker))
    assert result.verdict is Verdict.TEST_ERROR


@pytest.mark.parametrize(
    ("verdict", "passed", "allowed"),
    [
        (Verdict.PASSED, 1, 4),
        (Verdict.WRONG_ANSWER, 2, 2),
        (Verdict.WRONG_ANSWER, 4, 3),
        (Verdict.TIME_LIMIT, 4, 3),
        (Verdict.FORBIDDEN, 3, 0),
    ],
)
def test_no_more_tests_are_passed_than_the_verdict_allows(verdict: Verdict, passed: int, allowed: int) -> None:
    decision = with_count(Decision(verdict), 4, passed)
    assert (decision.tests_passed, decision.tests, decision.verdict) == (allowed, 4, verdict)
    assert with_count(Decision(verdict), 0, 0).tests_passed == 0
