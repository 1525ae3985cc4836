"""DeepCoder-Preview and AReaL-boba-2-RL-Code: their forms of tests made alike, capped, judged; damaged records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.suites.formats.gathered import MOST_TESTS, areal_problem, deepcoder_problem
from engine.suites.loading import load_suite
from engine.suites.problem import LeftOut, Problem
from sandbox import Calls, Sandbox, Stdio, Verdict, open_sandbox

ADD = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
ADD_FUNCTION = "def add(a, b):\n    return a + b\n"
SUM = "n = int(input())\nprint(sum(int(input()) for _ in range(n)))\n"


def stdin(given: str, wanted: str, key: str = "type", kind: str = "stdin_stdout") -> dict[str, Any]:
    return {"input": given, "output": wanted, key: kind}


def call(given: str, wanted: str) -> dict[str, Any]:
    return {"input": given, "output": wanted, "testtype": "functional", "metadata": {"func_name": "add"}}


def deepcoder(tests: Any, /, **changes: Any) -> dict[str, Any]:
    plain = {"problem": "Add.", "tests": json.dumps(tests), "starter_code": None, "metadata": None, "solutions": None}
    return plain | changes


def areal(tests: Any, /, **changes: Any) -> dict[str, Any]:
    return {"query_id": "q1", "prompt": "Add.", "task": "code", "input_output": json.dumps(tests)} | changes


CALLS = Calls("Solution().add", (((1, 2), 3), ((4, 5), 9)), tuples_are_lists=True, call_s=6.0)
LINES = Stdio((("2\n1\n2\n", "3\n"), ("1\n7", "7")), compare="decimals")
STARTED = deepcoder([call("1\n2", "3")], starter_code="def add(a: int, b: int) -> int:\n    ")
DEEPCODER = [
    (deepcoder([call("1\n2", "3"), call("4\n5", "9")]), CALLS, ADD, ADD.replace("+", "-")),
    (
        deepcoder({"inputs": [[1, 2], [4, 5]], "outputs": [[3], [9]], "fn_name": "add"}),
        CALLS,
        ADD,
        ADD.replace("a + b", "[a + b]"),
    ),
    (
        deepcoder({"inputs": ["1\n2", "4\n5"], "outputs": [3, 9]}, metadata='{"func_name": "add"}'),
        CALLS,
        ADD,
        "",
    ),
    (
        STARTED,
        Calls("add", (((1, 2), 3),), tuples_are_lists=True, call_s=6.0),
        ADD_FUNCTION,
        ADD_FUNCTION.replace("+", "*"),
    ),
    (
        deepcoder([{"type": "function_call", "fn_name": "add", "input": [1, 2], "output": [3]}]),
        Calls("Solution().add", (((1, 2), 3),), tuples_are_lists=True, call_s=6.0),
        ADD,
        ADD.replace("+", "*"),
    ),
    (deepcoder([stdin("2\n1\n2\n", "3\n"), stdin("1\n7", "7", "testtype", "stdin")]), LINES, SUM, "print(3)\n"),
    (deepcoder({"inputs": ["2\n1\n2\n", "1\n7"], "outputs": ["3\n", "7"]}), LINES, SUM, "print(7)\n"),
    (
        deepcoder({"inputs": [["2", "1", "2"], ["1", "7"]], "outputs": [["3"], ["7"]], "fn_name": None}),
        Stdio((("2\n1\n2\n", "3\n"), ("1\n7\n", "7\n")), compare="decimals"),
        SUM,
        "print(7)\n",
    ),
]
AREAL = [
    (areal({"inputs": ["2\n1\n2\n", "1\n7"], "outputs": ["3\n", "7"], "remote": False}), LINES, SUM, "print(3)\n"),
    (areal({"inputs": [[1, 2], [4, 5]], "outputs": [[3], [9]], "fn_name": "add"}), CALLS, ADD, ADD.replace("+", "-")),
    (areal({"inputs": ["1\n2", "4\n5"], "outputs": ["3", "9"], "fn_name": "add"}), CALLS, ADD, ADD.replace("+", "-")),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(workers=1) as opened:
        yield opened


def problem(item: dict[str, Any]) -> Problem:
    return (areal_problem if "query_id" in item else deepcoder_problem)("own", "own:1", 0, item)


@pytest.mark.parametrize(("item", "test", "right", "wrong"), [*DEEPCODER, *AREAL])
def test_every_form_of_tests_becomes_the_same_and_is_judged(
    sandbox: Sandbox, item: dict[str, Any], test: Calls | Stdio, right: str, wrong: str
) -> None:
    asked = problem(item)
    assert asked.test == test
    first, second = sandbox.judge([asked.job(right), asked.job(wrong)])
    assert first.verdict is Verdict.PASSED
    assert second.verdict in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR)


def test_a_function_will_do_where_the_record_does_not_ask_for_a_method(sandbox: Sandbox) -> None:
    asked = problem(AREAL[1][0])
    programs = [ADD_FUNCTION, ADD_FUNCTION.replace("+", "-"), "x = 1\n", ADD + ADD_FUNCTION.replace("+", "-")]
    verdicts = [result.verdict for result in sandbox.judge([asked.job(program) for program in programs])]
    assert verdicts == [Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR, Verdict.PASSED]
    assert problem(STARTED).postlude == ""


@pytest.mark.parametrize("name", ["factorial", "len"])
def test_no_import_and_no_built_in_function_stands_for_the_one_that_is_asked_for(sandbox: Sandbox, name: str) -> None:
    value = 3 if name == "len" else 6
    given: Any = "abc" if name == "len" else 3
    tests = {"inputs": [[given]], "outputs": [[value]], "fn_name": name}
    for starter in (None, f"def {name}(x):\n    "):
        asked = problem(deepcoder(tests, starter_code=starter))
        empty, full = sandbox.judge([asked.job("pass"), asked.job(f"def {name}(x):\n    return {value}\n")])
        assert (empty.verdict, full.verdict) == (Verdict.RUNTIME_ERROR, Verdict.PASSED)


def test_a_list_of_one_that_is_wrapped_is_unwrapped_once() -> None:
    test = problem(deepcoder({"inputs": [[[1]]], "outputs": [[[1]]], "fn_name": "same"})).test
    assert isinstance(test, Calls)
    assert test.cases == ((([1],), [1]),)
    bare = problem(deepcoder({"inputs": [[1], [2]], "outputs": [[1], [1, 2]], "fn_name": "factors"})).test
    assert isinstance(bare, Calls)
    assert bare.cases == (((1,), [1]), ((2,), [1, 2]))  # one that is longer says that none is wrapped
    told = problem(deepcoder([call("[1]", "[1]")])).test
    assert isinstance(told, Calls)
    assert told.cases == ((([1],), [1]),)


@pytest.mark.parametrize("form", ["list", "dict", "areal"])
def test_the_first_twenty_tests_are_kept(form: str) -> None:
    texts = [str(n) for n in range(50)]
    tests: Any = {"inputs": texts, "outputs": texts}
    item = {"list": deepcoder([stdin(n, n) for n in texts]), "dict": deepcoder(tests), "areal": areal(tests)}[form]
    test = problem(item).test
    assert isinstance(test, Stdio)
    assert MOST_TESTS == 20
    assert test.cases == tuple((n, n) for n in texts[:20])


def test_a_solution_of_the_record_is_its_reference_without_its_fences(sandbox: Sandbox) -> None:
    for told in ([f"```python\n{SUM}```", "x"], SUM):
        asked = problem(deepcoder([stdin("1\n7", "7")], solutions=told))
        (result,) = sandbox.judge([asked.job(asked.reference or "")])
        assert (asked.reference, result.verdict) == (SUM.strip(), Verdict.PASSED)
    assert problem(deepcoder([stdin("1", "1")], solutions=[])).reference is None


def test_a_prompt_names_the_method_that_is_called_where_the_record_has_no_starter() -> None:
    assert "class Solution:\n    def add(self, " in problem(AREAL[1][0]).prompt
    assert "### Starter Code" not in problem(AREAL[0][0]).prompt
    assert "def add(a: int, b: int) -> int:" in problem(STARTED).prompt


def test_a_record_without_tests_is_left_out() -> None:
    for item in (deepcoder([]), areal({"inputs": [], "outputs": []})):
        with pytest.raises(LeftOut, match="without tests"):
            problem(item)


@pytest.mark.parametrize(
    ("suite", "item", "words"),
    [
        ("deepcoder", deepcoder([], tests="{oops"), "'tests' is not JSON"),
        ("deepcoder", deepcoder([], tests=None), "its tests must be a list of tests, or an object"),
        ("deepcoder", deepcoder([{"input": "1"}]), "a test must be an object with 'input' and 'output'"),
        (
            "deepcoder",
            deepcoder({"inputs": ["1"], "outputs": []}),
            "'inputs' and 'outputs' must be lists of one length",
        ),
        ("deepcoder", deepcoder([call("one", "3")]), "a line of a test's input is not JSON"),
        ("deepcoder", deepcoder({"inputs": [3], "outputs": [3], "fn_name": "f"}), "the arguments of a call must be"),
        ("deepcoder", deepcoder({"inputs": [[1]], "outputs": [[1]], "fn_name": 7}), "the name of the function is no"),
        ("deepcoder", deepcoder({"inputs": [[1]], "outputs": ["1"]}), "standard input and output must be text"),
        ("deepcoder", deepcoder([stdin("1", "1")], problem=None), "'problem' must be text"),
        ("areal", areal([], input_output=3), "its tests must be a list of tests, or an object"),
        ("areal", areal({"inputs": ["1"], "outputs": ["1"]}, query_id=["x"]), "'query_id' must be text"),
    ],
)
def test_a_damaged_record_is_named_and_left_out(tmp_path: Path, suite: str, item: dict[str, Any], words: str) -> None:
    good = deepcoder([stdin("1", "1")]) if suite == "deepcoder" else areal({"inputs": ["1"], "outputs": ["1"]})
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps(item) + "\n")
    loaded = load_suite(f"{suite}:{path}")
    assert len(loaded.problems) == 1
    assert loaded.notes[0].startswith(f"1 damaged left out, the first: {path}:2: {words}")
