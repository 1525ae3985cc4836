"""A test may do with a program's objects what it could do in one process with it: each case passes natively too."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Asserts, Calls, Check, Job, Limits, Sandbox, Stdio, Verdict
from tests.sandbox.conftest import Judge

ROOMY = Limits(cpu_s=10)
CASES = sorted((Path(__file__).parent / "objects").glob("*.py"))
MARK = "# --- test\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_objects_are_used_as_in_one_process(judge: Judge, path: Path) -> None:
    program, test = path.read_text().split(MARK)
    exec(compile(program + test, path.name, "exec", dont_inherit=True), {"__name__": "__main__"})  # noqa: S102  # it is right natively
    result = judge(program, Asserts(test), ROOMY)
    assert result.verdict is Verdict.PASSED, f"{result.detail} {result.failed_test} {result.stderr[-300:]}"


@pytest.mark.parametrize(
    ("program", "test", "verdict"),
    [
        ("def f(a):\n    a.sort()\n    return 2\n", "a = [2, 1]\nassert f(a) == 2\nassert a == [2, 1]", "wrong_answer"),
        ("def f(a):\n    return list(a)\n", "a = [1]\nassert f(a) is a", "wrong_answer"),
        ("def f(a):\n    return a\n", "a = [1]\nassert f(a) is not a", "wrong_answer"),
        ("def f():\n    raise KeyError('a')\n", "try:\n    f()\nexcept IndexError:\n    pass", "runtime_error"),
        ("def f():\n    print('no')\n", CAPTURED := "import contextlib, io\nout = io.StringIO()\n"
         "with contextlib.redirect_stdout(out):\n    f()\nassert out.getvalue() == 'yes\\n'", "wrong_answer"),
        ("def f():\n    print('yes')\n", CAPTURED, "passed"),
        ("def f():\n    return [1, True]\n", "assert [type(x) for x in f()] == [int, int]", "wrong_answer"),
        ("def f(a):\n    a[0] = True\n", "a = [1]\nf(a)\nassert type(a[0]) is int", "wrong_answer"),
        ("class A:\n    pass\n", "assert A().x == 1", "wrong_answer"),
        ("class A:\n    pass\n", "assert A() == A()", "wrong_answer"),
    ],
)  # fmt: skip
def test_a_wrong_program_is_told_from_a_right_one(judge: Judge, program: str, test: str, verdict: str) -> None:
    assert judge(program, Asserts(test)).verdict == verdict


def test_where_a_programs_own_operator_decided_the_result_says_so(judge: Judge) -> None:
    program = "class A:\n    def __eq__(self, other):\n        return True\n\n    __hash__ = None\n"
    assert "own_operators" in judge(program, Asserts("assert A() == A()")).tricks
    assert judge(program, Asserts("assert A() == 1")).verdict is Verdict.WRONG_ANSWER
    assert "own_operators" not in judge("def f():\n    return 1\n", Asserts("assert f() == 1")).tricks


@pytest.mark.parametrize(
    "source",
    [
        "assert f(2) ==",
        "",
        "# nothing",
        "x = 1\nassert x == 1",
        "import no_such_package\nassert f(1) == 1",
        "assert f(1) == 1\nimport no_such_package",
        "from math import no_such_function\nassert f(1) == 1",
        "import math\nassert f(1) == 1\nassert math.no_such_constant == f(1)",
        "1 / 0\nassert f(1) == 1",
        "assert 1 == 2",
        "assert f(1) == 1\nraise SystemExit(0)",
        "class Mine(C):\n    pass\nassert f(1) == 1",
        "import sys\nassert f(sys._getframe()) == 1",
    ],
)
def test_an_error_of_the_tests_own_is_a_test_error_and_tells_which(sandbox: Sandbox, source: str) -> None:
    program = "class C:\n    pass\n\n\ndef f(x):\n    return x\n"
    (result,) = sandbox.judge([Job(program, Asserts(source))])
    assert result.verdict is Verdict.TEST_ERROR
    assert result.detail


@pytest.mark.parametrize(
    "source",
    [
        "assert f(1)[0] == 1",
        "assert f(1).real_part == 1",
        "assert g(1) == 1",
        "import importlib\nimportlib.import_module(f('no_such_package'))",
        "import ast\nast.literal_eval(f('1 +'))",
        "assert len(f(1)) == 1",
    ],
)
def test_what_a_program_may_have_led_to_is_never_a_test_error(judge: Judge, source: str) -> None:
    assert judge("def f(x):\n    return x\n", Asserts(source)).verdict in (
        Verdict.WRONG_ANSWER,
        Verdict.RUNTIME_ERROR,
    )


@pytest.mark.parametrize(
    "test",
    [
        Calls("f", ()),
        Stdio(()),
        Calls("f", (((object(),), 1),)),
        Check("def test(candidate):\n    assert candidate(1) == 1\n", "f"),
        Check("def check(candidate):\n    pass\n", "f"),
    ],
)
def test_a_suite_without_a_test_passes_nobody(judge: Judge, test: object) -> None:
    program = "def check(candidate):\n    pass\n\n\ndef f(x):\n    return x\n"
    assert judge(program, test).verdict is Verdict.TEST_ERROR


@pytest.mark.parametrize(
    ("program", "source", "verdict"),
    [
        ("def pow(a, b):\n    return a * b\n\n\ndef twice(x):\n    return pow(x, 2)\n",
         "assert pow(3, 4) == 12\nassert twice(3) == 6", "passed"),
        ("def twice(x):\n    return x * 2\n", "assert max([1]) == 1\nassert twice(3) == 6", "passed"),
        ("def biggest(x):\n    return x[0]\n", "assert max([1]) == 1", "runtime_error"),
        ("def sum(x):\n    return 42\n\n\ndef f(n):\n    return 42\n", "assert sum([1, 2]) == f(2)", "wrong_answer"),
        ("def len(x):\n    return 3\n\n\ndef f(n):\n    return [n]\n",
         "assert len([1, 2, 3]) == 3\nassert len(f(2)) == 3", "wrong_answer"),
        ("import math\n\n\ndef f(x):\n    return x\n", "assert math.isclose(f(1), 1)", "passed"),
        ("class math:\n    isclose = lambda *_: True\n\n\ndef f(x):\n    return x\n",
         "assert math.isclose(f(1), 2)", "wrong_answer"),
        ("def f(x):\n    return x\n", "assert math.isclose(f(1), 1)", "runtime_error"),
    ],
)  # fmt: skip
def test_a_name_is_the_programs_or_the_judges_own(judge: Judge, program: str, source: str, verdict: str) -> None:
    assert judge(program, Asserts(source)).verdict == verdict


@pytest.mark.parametrize("probe", ["f.__globals__", "f.__code__", "f.__closure__", "f.__self__", "type(f)(1)"])
def test_a_function_of_the_test_leads_nowhere(judge: Judge, probe: str) -> None:
    program = (
        f"def steal(f):\n    try:\n        return repr({probe})\n    except Exception:\n        return 'nothing'\n"
    )
    source = (
        "secret = 424242\nanswer = steal(lambda x: secret)\nassert '424242' not in answer and 'secret' not in answer"
    )
    assert judge(program, Asserts(source)).verdict is Verdict.PASSED


def test_an_expression_may_name_the_entry_point(judge: Judge) -> None:
    program = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
    assert judge(program, Calls("Solution().add", (((1, 2), 3),))).verdict is Verdict.PASSED
    check = Check("def check(candidate):\n    assert candidate(1, 2) == 3\n", "Solution().add")
    assert judge(program, check).verdict is Verdict.PASSED
