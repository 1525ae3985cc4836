"""Each way of testing gives the verdict it should, on every backend."""

from __future__ import annotations

import pytest

from sandbox import Asserts, Calls, Check, Limits, Program, Sandbox, Stdio, Verdict
from tests.sandbox.conftest import QUICK, Judge

DOUBLE = "def double(x):\n    return x + x\n"


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        (DOUBLE, Verdict.PASSED),
        ("def double(x):\n    return x\n", Verdict.WRONG_ANSWER),
        ("def double(x):\n    raise KeyError(x)\n", Verdict.RUNTIME_ERROR),
        ("def double(x:\n", Verdict.SYNTAX_ERROR),
        ("def other(x):\n    return x\n", Verdict.RUNTIME_ERROR),
    ],
)
def test_a_check_function_runs_in_the_judge(judge: Judge, program: str, verdict: Verdict) -> None:
    check = Check("def check(candidate):\n    for n in range(50):\n        assert candidate(n) == 2 * n\n", "double")
    assert judge(program, check).verdict is verdict


def test_a_helper_in_the_tests_source_is_the_judges_own(judge: Judge) -> None:
    prompt = (
        "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n\ndef find_zero(xs):\n    '''stub'''\n"
    )
    check = Check(
        prompt + "\n\ndef check(candidate):\n    assert poly([-4, 2], candidate([-4, 2])) == 0\n", "find_zero"
    )
    forged = "def poly(xs, x):\n    return 0\n\n\ndef find_zero(xs):\n    return 7\n"
    assert judge(forged, check).verdict is Verdict.WRONG_ANSWER
    assert judge("def find_zero(xs):\n    return 2\n", check).verdict is Verdict.PASSED


def test_a_candidates_helper_may_be_called_by_the_test(judge: Judge) -> None:
    program = "def encode(s):\n    return s[::-1]\n\n\ndef decode(s):\n    return s[::-1]\n"
    check = Check("def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n", "decode")
    assert judge(program, check).verdict is Verdict.PASSED


def test_setup_runs_after_the_program_and_its_objects_can_be_passed(judge: Judge) -> None:
    program = "class Node:\n    def __init__(self, n):\n        self.n = n\n\n\ndef value(node):\n    return node.n\n"
    assert judge(program, Asserts("assert value(root) == 3", setup="root = Node(3)")).verdict is Verdict.PASSED


def test_objects_made_by_the_test_can_be_passed_back(judge: Judge) -> None:
    program = "class Pair:\n    def __init__(self, a):\n        self.a = a\n\n\n"
    program += "def total(pairs):\n    return sum(pair.a for pair in pairs)\n"
    assert judge(program, Asserts("assert total([Pair(1), Pair(2)]) == 3")).verdict is Verdict.PASSED


def test_a_shadowed_builtin_is_the_candidates_only_where_nothing_else_is_tested(judge: Judge) -> None:
    assert judge("def sum(a, b):\n    return a * b\n", Asserts("assert sum(2, 3) == 6")).verdict is Verdict.PASSED
    forged = "def sorted(x):\n    return [1, 2]\n\n\ndef order(x):\n    return x\n"
    assert judge(forged, Asserts("assert sorted(order([2, 3])) == [1, 2]")).verdict is Verdict.WRONG_ANSWER


def test_a_test_may_catch_what_the_candidate_raises(judge: Judge) -> None:
    test = Asserts("try:\n    double(None)\nexcept TypeError:\n    pass\nelse:\n    assert False")
    assert judge(DOUBLE, test).verdict is Verdict.PASSED


def test_a_test_that_swallows_the_end_of_its_candidate_has_not_passed(judge: Judge) -> None:
    test = Asserts("try:\n    double(1)\nexcept BaseException:\n    pass")
    assert judge("import os\n\n\ndef double(x):\n    os._exit(0)\n", test).verdict is Verdict.EARLY_EXIT


@pytest.mark.parametrize(
    ("answer", "tolerance", "verdict"),
    [
        ("1.0 + 1e-9", 1e-6, Verdict.PASSED),
        ("1.0 + 1e-9", None, Verdict.WRONG_ANSWER),
        ("float('nan')", 1e-6, Verdict.WRONG_ANSWER),
        ("[1.0]", 1e-6, Verdict.WRONG_ANSWER),
        ("1", 1e-6, Verdict.PASSED),
        ("10**400", 1e-6, Verdict.WRONG_ANSWER),
    ],
)
def test_calls_compare_floats_within_the_tolerance_they_give(
    judge: Judge, answer: str, tolerance: float | None, verdict: Verdict
) -> None:
    calls = Calls("f", (((), 1.0),), tolerance=tolerance)
    assert judge(f"def f():\n    return {answer}\n", calls).verdict is verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("1_000_000", Verdict.PASSED), ("1_000_001", Verdict.WRONG_ANSWER), ("1_000_000.1", Verdict.PASSED)],
)
def test_a_tolerance_is_for_floats(judge: Judge, answer: str, verdict: Verdict) -> None:
    calls = Calls("f", (((), 1_000_000),), tolerance=1e-6)
    assert judge(f"def f():\n    return {answer}\n", calls).verdict is verdict


def test_calls_name_the_case_that_failed_and_not_what_it_expected(judge: Judge) -> None:
    result = judge("def f(x):\n    return x\n", Calls("f", (((1,), 1), ((2,), 424242))))
    assert result.failed_test == "case 2"
    assert "424242" not in repr(result)


def test_a_tuple_is_a_list_only_where_the_suite_says_so(judge: Judge) -> None:
    cases = (((), [1, [2]]),)
    program = "def f():\n    return (1, (2,))\n"
    assert judge(program, Calls("f", cases)).verdict is Verdict.WRONG_ANSWER
    assert judge(program, Calls("f", cases, tuples_are_lists=True)).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("printed", "compare", "verdict"),
    [
        ("1 2\\n3", "tokens", Verdict.PASSED),
        ("1  2 3", "tokens", Verdict.PASSED),
        ("1  2 3", "exact", Verdict.WRONG_ANSWER),
        ("1 2 \\n3\\n\\n", "exact", Verdict.PASSED),
        ("1.0000000001 2 3", "float", Verdict.PASSED),
        ("1.0000000001 2 3", "tokens", Verdict.WRONG_ANSWER),
        ("nan 2 3", "float", Verdict.WRONG_ANSWER),
        ("1 2", "float", Verdict.WRONG_ANSWER),
        ("1_0 2 3", "float", Verdict.WRONG_ANSWER),
        ("+01 2.0 3e0", "float", Verdict.PASSED),
        ("1 2 3.", "float", Verdict.PASSED),
        ("-1 2 3", "float", Verdict.WRONG_ANSWER),
    ],
)
def test_printed_output_is_compared_as_the_suite_says(
    judge: Judge, printed: str, compare: str, verdict: Verdict
) -> None:
    test = Stdio((("", "1 2\n3\n"),), compare=compare)  # type: ignore[arg-type]  # one of the three words
    assert judge(f"print('{printed}')", test).verdict is verdict


@pytest.mark.parametrize(
    ("printed", "expected", "verdict"),
    [
        ("7" * 400, "7" * 400, Verdict.PASSED),
        ("3" * 320, "7" * 400, Verdict.WRONG_ANSWER),
        ("50000000000000001", "50000000000000000", Verdict.WRONG_ANSWER),
        ("-0", "0", Verdict.PASSED),
        ("1e999", "2e999", Verdict.WRONG_ANSWER),
        ("inf", "1e999", Verdict.WRONG_ANSWER),
    ],
)
def test_integers_are_compared_as_integers_of_any_length(
    judge: Judge, printed: str, expected: str, verdict: Verdict
) -> None:
    assert judge(f"print('{printed}')", Stdio((("", expected),), compare="float")).verdict is verdict


@pytest.mark.parametrize(("tenths", "verdict"), [(19, Verdict.WRONG_ANSWER), (30, Verdict.OUTPUT_LIMIT)])
def test_there_is_room_for_twice_the_output_that_is_expected(judge: Judge, tenths: int, verdict: Verdict) -> None:
    expected = "x" * 2 * QUICK.output_bytes
    test = Stdio((("", expected),))
    assert judge(f"print('y' * {len(expected) * tenths // 10})", test).verdict is verdict


def test_each_case_is_a_run_of_its_own(judge: Judge) -> None:
    program = "import os\nprint(input(), os.path.exists('left'))\nopen('left', 'w').close()\n"
    test = Stdio((("a\n", "a False"), ("b\n", "b False")))
    assert judge(program, test).verdict is Verdict.PASSED


def test_a_main_block_runs_for_whole_programs_alone(judge: Judge) -> None:
    program = "def f():\n    return 1\n\n\nif __name__ == '__main__':\n    print(1)\n"
    assert judge(program, Stdio((("", "1"),))).verdict is Verdict.PASSED
    assert judge(program, Calls("f", (((), 1),))).stdout == ""


def test_a_program_whose_thread_prints_is_waited_for(judge: Judge) -> None:
    program = "import threading\nthreading.Thread(target=lambda: print(int(input()) + 1)).start()\n"
    assert judge(program, Stdio((("4\n", "5"),))).verdict is Verdict.PASSED


CHECKER = "def check(stdin, expected, output):\n    return sorted(output.split()) == sorted(expected.split())\n"


def test_a_checker_judges_what_was_printed(judge: Judge) -> None:
    assert judge("print(3, 1, 2)", Stdio((("", "1 2 3"),), checker=CHECKER)).verdict is Verdict.PASSED
    assert judge("print(3, 1)", Stdio((("", "1 2 3"),), checker=CHECKER)).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("return output", Verdict.TEST_ERROR),
        ("return 1", Verdict.TEST_ERROR),
        ("return None", Verdict.TEST_ERROR),
        ("return outptu == expected", Verdict.TEST_ERROR),
        ("import no_such_package", Verdict.TEST_ERROR),
        ("return float(output) == float(expected)", Verdict.WRONG_ANSWER),
        ("return expected == output or None", Verdict.WRONG_ANSWER),
    ],
)
def test_a_checker_that_fails_on_the_right_output_too_is_broken(judge: Judge, body: str, verdict: Verdict) -> None:
    checker = f"def check(stdin, expected, output):\n    {body}\n"
    assert judge("print('x')", Stdio((("", "4"),), checker=checker)).verdict is verdict


@pytest.mark.medium
def test_the_deadline_is_over_all_cases(judge: Judge) -> None:
    burn = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end:\n    pass\n"
    limits = Limits(cpu_s=1, deadline_s=0.5)
    assert judge(burn, Stdio((("", ""),) * 2), limits).verdict is Verdict.PASSED
    assert judge(burn, Stdio((("", ""),) * 5), limits).verdict is Verdict.TIME_LIMIT


def test_a_whole_program_passes_when_it_runs_to_its_end(judge: Judge) -> None:
    assert judge("assert 1 + 1 == 2", Program()).verdict is Verdict.PASSED
    assert judge("assert 1 + 1 == 3", Program()).verdict is Verdict.RUNTIME_ERROR


def test_random_numbers_and_sets_are_the_same_every_time(judge: Judge) -> None:
    program = "import random\nprint(random.random(), {'a', 'b', 'c', 'd'})"
    assert judge(program, Program()).stdout == judge(program, Program()).stdout


def test_a_result_says_what_was_used_and_how_it_was_isolated(judge: Judge, sandbox: Sandbox) -> None:
    result = judge("held = bytearray(50_000_000)\nprint(sum(range(10**6)))", Program())
    assert result.backend == sandbox.backend
    assert {"pid namespace", "no network", "seccomp"} <= set(result.layers)
    assert 50 < result.peak_mb < QUICK.memory_mb
    assert 0 < result.cpu_s < QUICK.cpu_s


@pytest.mark.medium
def test_an_answer_may_be_as_large_as_the_memory_allows(judge: Judge) -> None:
    program, test = "def f():\n    return 'x' * (20 << 20)\n", Asserts("assert len(f()) == 20 << 20")
    assert judge(program, test, Limits(cpu_s=10, memory_mb=512)).verdict is Verdict.PASSED
    assert judge(program, test, Limits(cpu_s=10, memory_mb=16)).verdict is not Verdict.PASSED


OPEN = """import os
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
def descriptors():
    return [fd for fd in range(64) if is_open(fd)]
print(descriptors())
"""


def test_a_candidate_has_its_streams_and_its_channel_and_nothing_else_open(judge: Judge) -> None:
    assert judge(OPEN, Stdio((("", "[0, 1, 2, 3]\n"),))).verdict is Verdict.PASSED
    assert judge(OPEN, Asserts("assert descriptors() == [0, 1, 2, 3]")).verdict is Verdict.PASSED
