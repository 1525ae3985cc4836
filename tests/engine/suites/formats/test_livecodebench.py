"""LiveCodeBench: rows of its exact format, judged by its rules; windows, versions, and rows that are damaged."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.suites.formats.livecodebench import livecodebench_problem
from engine.suites.loading import load_suite, parse_spec
from engine.suites.problem import Problem, SuiteError
from sandbox import Calls, Sandbox, Stdio, Verdict, open_sandbox
from sandbox.compare import printed_right
from tests.engine.suites.formats.cases import Case
from tests.engine.suites.formats.livecodebench_rows import CASES, packed

ROWS = {case.id: case.row for case in CASES}


def written(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def problem(row: dict[str, Any]) -> Problem:
    made = livecodebench_problem("own", ("", ""), "own:1", 0, row)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(workers=2) as opened:
        yield opened


def verdicts(sandbox: Sandbox, asked: Problem, programs: tuple[str, ...]) -> list[Verdict]:
    return [result.verdict for result in sandbox.judge([asked.job(program) for program in programs])]


@pytest.mark.medium
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_solutions_are_judged_as_they_deserve(sandbox: Sandbox, case: Case) -> None:
    assert verdicts(sandbox, problem(case.row), case.right) == [Verdict.PASSED] * len(case.right)
    found = verdicts(sandbox, problem(case.row), case.wrong)
    assert not {Verdict.PASSED, Verdict.TEST_ERROR, Verdict.SANDBOX_ERROR} & set(found)


@pytest.mark.parametrize(
    ("output", "expected", "right"),
    [
        ("1\n2\n", "1\n2", True),
        ("\n\n 1 \n2\t\n\n", "1\n2", True),
        ("1\n2", "1", False),
        ("1", "1\n2", False),
        ("1\n\n2", "1\n2", False),
        ("1.0  2e0", "1 2", True),
        ("1 2 3", "1 2", False),
        ("0.1", "0.10000000000000000001", False),
        ("1" * 40 + ".0", "1" * 40, True),
        ("a  b", "a b", False),
        ("nan", "nan", True),
        ("nan 1", "nan 1.0", False),
        ("sNaN 1", "sNaN 1.0", False),
    ],
)
def test_lines_are_equal_as_text_or_as_decimals(output: str, expected: str, right: bool) -> None:
    assert printed_right(output, expected, Stdio((), compare="decimals")) is right


@pytest.mark.medium
def test_a_case_that_does_not_come_back_is_over_its_time(sandbox: Sandbox) -> None:
    asked, called = problem(ROWS["sum_lines"]), problem(ROWS["half"])
    assert isinstance(called.test, Calls)
    asked = replace(asked, limits=replace(asked.limits, cpu_s=0.3))
    called = replace(called, test=replace(called.test, call_s=0.3))
    loops = (
        "while True:\n    pass\n",
        "class Solution:\n    def half(self, x):\n        while x != 1: pass\n        return .5",
    )
    (plain,) = sandbox.judge([asked.job(loops[0])])
    (method,) = sandbox.judge([called.job(loops[1])])
    assert (plain.verdict, plain.failed_test) == (Verdict.TIME_LIMIT, "case 1")
    assert (method.verdict, method.failed_test) == (Verdict.TIME_LIMIT, "case 2")
    assert method.cpu_s < 5  # of 12


def test_a_functional_problem_is_one_object_called_with_json() -> None:
    asked = problem(ROWS["two-sum"])
    assert asked.test == Calls(
        "Solution().twoSum",
        ((([2, 7, 11], 9), [0, 1]), (([3, 3], 6), [0, 1]), (([1, 5, 9], 14), [1, 2])),
        tuples_are_lists=True,
        call_s=6.0,
    )
    assert (asked.limits.cpu_s, asked.limits.deadline_s) == (18, 18)


def test_a_problem_of_standard_input_has_six_seconds_a_case() -> None:
    asked = problem(ROWS["sum_lines"])
    assert asked.test == Stdio((("2\n1\n2\n", "3\n"), ("3\n1\n2\n3", "6"), ("0\n", "0")), compare="decimals")
    assert (asked.limits.cpu_s, asked.limits.deadline_s) == (6, 18)


def test_private_tests_are_the_same_packed_and_plain() -> None:
    row = ROWS["sum_lines"]
    tests = [{"input": "3\n1\n2\n3", "output": "6", "testtype": "stdin"}, {"input": "0\n", "output": "0"}]
    assert problem(row | {"private_test_cases": json.dumps(tests)}).test == problem(row).test


def test_a_prompt_has_one_example_and_ends_where_the_answer_begins() -> None:
    functional, plain = problem(ROWS["two-sum"]), problem(ROWS["sum_lines"])
    assert functional.prompt.endswith(
        "\n\n### Question\nSolve two-sum.\n\n### Starter Code\n" + ROWS["two-sum"]["starter_code"] + "\n\n### Answer"
    )
    assert plain.prompt.endswith("\n\n### Question\nSolve sum_lines.\n\n### Answer")
    assert [p.prompt.count("### Question\n") for p in (functional, plain)] == [2, 2]
    assert "### Starter Code" not in plain.prompt
    assert functional.stop == ("###",)
    assert functional.program("\n\nclass Solution: pass") == "\n\nclass Solution: pass"


def test_what_must_come_first_in_a_program_comes_before_what_the_suite_adds() -> None:
    program = problem(ROWS["starred"]).job("from __future__ import annotations\nprint(1)").program
    compile(program, "program", "exec", dont_inherit=True)
    assert program.startswith("from __future__ import annotations\nfrom string import *")


def ids(spec: str) -> list[str]:
    return [problem.task_id for problem in load_suite(spec).problems]


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        ("[2024-08-01:2025-01-31]", "half", "big"),  # both days are in it
        ("[2024-08-02:]", "reverse-words", "yes_no"),
        ("[:2024-01-05]", "two-sum", "count-calls"),
        ("[2024-08-01:2025-01-31][1:3]", "reverse-words", "flags"),
        ("", "two-sum", "yes_no"),
    ],
)
def test_a_window_takes_the_contests_of_its_days(tmp_path: Path, window: str, first: str, last: str) -> None:
    path = written(tmp_path / "test.jsonl", *ROWS.values())
    found = ids(f"livecodebench{window}:{path}")
    names = list(ROWS)
    assert found == names[names.index(first) : names.index(last) + 1]


def test_a_window_is_part_of_the_suites_name(tmp_path: Path) -> None:
    suite = load_suite(f"livecodebench[2024-08-01:][:1]:{written(tmp_path / 'test.jsonl', *ROWS.values())}")
    assert suite.kind == "livecodebench[2024-08-01:][:1]"
    assert suite.name == f"livecodebench[2024-08-01:][:1]:test.jsonl#{suite.digest[:6]}"
    assert str(parse_spec("livecodebench[2024-08-01:][:1]:a/b")) == "livecodebench[2024-08-01:][:1]:a/b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("livecodebench", [0, 1, 2, 3]),
        ("livecodebench-release_latest", [0, 1, 2, 3]),
        ("livecodebench-release_v2", [0, 1]),
        ("livecodebench-v3", [2]),
        ("livecodebench-v2_v3", [1, 2]),
    ],
)
def test_a_version_is_some_of_a_folders_files(tmp_path: Path, name: str, expected: list[int]) -> None:
    for number, row in enumerate(list(ROWS.values())[:4]):
        written(tmp_path / f"test{number + 1 if number else ''}.jsonl", row)
    assert ids(f"{name}:{tmp_path}") == [list(ROWS)[number] for number in expected]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("livecodebench[2030-01-01:]:DIR/test.jsonl", r"no problem is of \[2030-01-01:\]; widen the window$"),
        ("livecodebench[2024-99-01:]:DIR/test.jsonl", "2024-99-01 is no day"),
        ("livecodebench[2025-01-01:2024-01-01]:DIR/test.jsonl", "the window ends before it begins"),
        ("livecodebench:DIR/none.jsonl", "cannot be read"),
        ("livecodebench[2024-08:]:DIR/test.jsonl", "write NAME, NAME"),
        ("mbpp[2024-08-01:]:DIR/test.jsonl", "only the problems of livecodebench have dates"),
        ("livecodebench-v9:DIR", "test9.jsonl is not there; fetch it"),
        ("livecodebench-v3_v1:DIR", "its versions end before they begin; write v1_v3"),
        ("livecodebench-v1:DIR/test.jsonl", "is no folder"),
        ("livecodebench:DIR/empty", "has no test.jsonl, test2.jsonl"),
        ("livecodebench-x1:DIR", "there is no suite 'livecodebench-x1'"),
        ("livecodebench", "needs its file: write livecodebench:PATH"),
        ("livecodebench:DIR/cut.jsonl.gz", r"cut.jsonl.gz:\d+: cannot be read .*cut off"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(tmp_path: Path, spec: str, words: str) -> None:
    written(tmp_path / "test.jsonl", *ROWS.values())
    (tmp_path / "empty").mkdir()
    zipped = zlib.compressobj(wbits=31)
    content = zipped.compress("".join(json.dumps(row) + "\n" for row in ROWS.values()).encode()) + zipped.flush()
    (tmp_path / "cut.jsonl.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(SuiteError, match=words) as caught:
        load_suite(spec.replace("DIR", str(tmp_path)))
    assert "\n" not in str(caught.value)


class Code:
    """Unpickled by a careless reader, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return io.open, (str(self.path), "w")


def pickled(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


CUT = base64.b64encode(zlib.compress(pickle.dumps(json.dumps([{"input": "1", "output": "1"}] * 40)))[:-9]).decode()
DAMAGES: list[tuple[dict[str, Any] | str, str]] = [
    ('{"question_id": "cut', "not JSON"),
    ({"private_test_cases": "not base64!"}, "'private_test_cases' is neither JSON nor packed JSON"),
    ({"private_test_cases": CUT}, "'private_test_cases' is cut off"),
    ({"private_test_cases": pickled([1, 2])}, "holds a pickle of a list, not of text"),
    ({"private_test_cases": pickled("{oops")}, "'private_test_cases', unpacked, is not JSON"),
    ({"private_test_cases": packed([{"input": "1"}])}, "a test must be an object with the texts"),
    ({"private_test_cases": base64.b64encode(zlib.compress(b"\x80\x04")).decode()}, "'private_test_cases' holds"),
    ({"public_test_cases": "[]", "private_test_cases": "[]"}, "sum_lines has no tests"),
    ({"contest_date": "yesterday"}, "'contest_date' is 'yesterday', not a date"),
    ({"metadata": '{"func_name": 3}'}, "'metadata' has a 'func_name' that is no text"),
    ({"metadata": '{"func_name": "a b"}'}, "a line of a test's input|the function is called 'a b'"),
    ({"question_content": None}, "'question_content' must be text"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_damaged_row_is_named_by_file_and_line_and_left_out(
    tmp_path: Path, damage: dict[str, Any] | str, words: str
) -> None:
    damaged = damage if isinstance(damage, str) else ROWS["sum_lines"] | damage
    path = written(tmp_path / "test.jsonl", ROWS["two-sum"], damaged, ROWS["grid"])
    suite = load_suite(f"livecodebench:{path}")
    assert [problem.task_id for problem in suite.problems] == ["two-sum", "grid"]
    with pytest.raises(AssertionError, match=f"1 damaged left out, the first: {path}:2: .*({words})"):
        raise AssertionError(*suite.notes)
    written(path, damaged)
    with pytest.raises(SuiteError, match=f"no problem that can be asked: 1 damaged left out, the first: {path}:1: "):
        load_suite(f"livecodebench:{path}")


def test_a_pickle_that_holds_code_is_told_and_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "it ran"
    row = ROWS["grid"] | {"private_test_cases": pickled(Code(trap))}
    path = written(tmp_path / "test.jsonl", row)
    with pytest.raises(SuiteError, match=rf"{path}:1: .*a pickle that holds code \(.*open\): it was not run"):
        load_suite(f"livecodebench:{path}")
    assert not trap.exists()


def test_two_rows_of_one_id_count_once(tmp_path: Path) -> None:
    suite = load_suite(f"livecodebench:{written(tmp_path / 'test.jsonl', ROWS['grid'], ROWS['big'], ROWS['grid'])}")
    assert [problem.task_id for problem in suite.problems] == ["grid", "big"]
    assert "1 damaged left out" in suite.notes[0]


def test_known_errata_are_flagged_and_asked_all_the_same() -> None:
    assert problem(ROWS["grid"] | {"question_id": "abc350_c"}).flaw == "some of its tests are wrong"
    assert problem(ROWS["grid"] | {"question_id": "abc355_e"}).flaw == "it is interactive, and its tests are not"
    titled = problem(ROWS["grid"] | {"question_id": "3226", "question_title": "find-the-peaks"})
    assert titled.flaw == "it has several right answers, of which one passes"
    assert problem(ROWS["grid"]).flaw == ""
