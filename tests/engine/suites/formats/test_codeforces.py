"""Codeforces: rows of open-r1's format, judged by its rules; checkers, files, limits, generated tests, damaged rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from engine.suites.formats.codeforces import GeneratedTests, codeforces_problem
from engine.suites.loading import load_suite
from engine.suites.problem import Problem, SuiteError
from sandbox import Result, Sandbox, Stdio, Verdict, open_sandbox, worker
from tests.engine.suites.formats.cases import Case
from tests.engine.suites.formats.codeforces_rows import CASES, INTERACTIVE, row

ROWS = {case.id: case.row for case in CASES}
PLAIN = ROWS["1/A"]


def problem(item: dict[str, Any]) -> Problem:
    return codeforces_problem("own", GeneratedTests(Path("nowhere")), "own:1", 0, item)


def written(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(workers=2) as opened:
        yield opened


def judged(sandbox: Sandbox, asked: Problem, *programs: str) -> list[Result]:
    return list(sandbox.judge([asked.job(program) for program in programs]))


@pytest.mark.medium
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_solutions_are_judged_as_they_deserve(sandbox: Sandbox, case: Case) -> None:
    verdicts = [result.verdict for result in judged(sandbox, problem(case.row), *case.right)]
    assert verdicts == [Verdict.PASSED] * len(case.right)
    found = [result.verdict for result in judged(sandbox, problem(case.row), *case.wrong)]
    assert not {Verdict.PASSED, Verdict.TEST_ERROR, Verdict.SANDBOX_ERROR} & set(found)


def checked_by(checker: str) -> Problem:
    return problem(row("5/A", [("7\n", "1 6\n")], generated_checker=checker))


@pytest.mark.parametrize(
    ("checker", "verdict"),
    [
        ("print(1)\n", Verdict.PASSED),
        ("print('100', end='')\n", Verdict.PASSED),
        ("print(0)\n", Verdict.WRONG_ANSWER),
        ("print(99)\n", Verdict.WRONG_ANSWER),
        ("print('1 of 100')\n", Verdict.WRONG_ANSWER),
        ("import sys\nsys.exit(0)\n", Verdict.TEST_ERROR),
        ("1 / 0\n", Verdict.TEST_ERROR),
        ("oops(\n", Verdict.TEST_ERROR),
        ("import sys\nprint(int(len(sys.argv) == 4 and __name__ == '__main__'))\n", Verdict.PASSED),
        (
            "import sys\nprint(int([open(p).read() for p in sys.argv[1:]] == ['7\\n', '1 6\\n', '3 4\\n']))\n",
            Verdict.PASSED,
        ),
    ],
)
def test_a_checker_accepts_by_printing_1_or_100(sandbox: Sandbox, checker: str, verdict: Verdict) -> None:
    (result,) = judged(sandbox, checked_by(checker), "print(3, 4)\n")
    assert result.verdict is verdict


def test_a_checker_that_fails_on_one_output_alone_calls_it_wrong(sandbox: Sandbox) -> None:
    strict = "import sys\na, b = map(int, open(sys.argv[3]).read().split())\nprint(1)\n"
    few, enough = judged(sandbox, checked_by(strict), "print(3)\n", "print(3, 4)\n")
    assert (few.verdict, few.detail) == (Verdict.WRONG_ANSWER, "the checker came to no end on its output")
    assert enough.verdict is Verdict.PASSED


@pytest.mark.medium
def test_a_checker_that_loops_is_the_suites_fault_and_one_that_loops_on_an_output_is_not(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.CHECKER_LIMITS.cpu_s == 10
    monkeypatch.setattr(worker, "CHECKER_LIMITS", replace(worker.CHECKER_LIMITS, cpu_s=0.3))
    (result,) = judged(sandbox, checked_by("while True: pass\n"), "print(3, 4)\n")
    assert result.verdict is Verdict.TEST_ERROR
    picky = "import sys\nwhile open(sys.argv[3]).read() != '1 6\\n': pass\nprint(1)\n"
    (result,) = judged(sandbox, checked_by(picky), "print(3, 4)\n")
    assert result.verdict is Verdict.WRONG_ANSWER


def test_a_checker_leaves_nothing_for_the_next_one(sandbox: Sandbox) -> None:
    leaving = "import os\nprint(int(not os.path.exists('left')))\nopen('left', 'w').write('x')\n"
    results = judged(sandbox, checked_by(leaving), *["print(3, 4)\n"] * 4)
    assert {result.verdict for result in results} == {Verdict.PASSED}


def test_a_candidate_finds_nothing_of_the_tests_in_its_folder(sandbox: Sandbox) -> None:
    program = "import os\nprint(*sorted(os.listdir('.')))\n"
    listed = problem(row("7/C", [("1\n", "main.py\n"), ("2\n", "main.py\n")]))
    assert judged(sandbox, listed, program)[0].verdict is Verdict.PASSED
    by_files = problem(row("7/C", [("1\n", "input.txt main.py\n")] * 2, input_mode="file"))
    program = "import os\nnames = sorted(os.listdir('.'))\nopen('output.txt', 'w').write(' '.join(names))\n"
    (result,) = judged(sandbox, by_files, program)
    assert result.verdict is Verdict.PASSED


def test_an_output_file_that_is_a_link_is_none(sandbox: Sandbox) -> None:
    echo = problem(row("7/C", [("1\n", "1\n")], input_mode="file"))
    names = "('input.txt', 'output.txt')\n"
    copied, linked = judged(sandbox, echo, f"import shutil\nshutil.copy{names}", f"import os\nos.symlink{names}")
    assert (copied.verdict, linked.verdict) == (Verdict.PASSED, Verdict.WRONG_ANSWER)


def test_too_much_in_the_output_file_is_too_much_output(sandbox: Sandbox) -> None:
    flood = problem(row("7/C", [("1\n", "1\n")], input_mode="file"))
    flood = replace(flood, limits=replace(flood.limits, output_bytes=1000))
    assert judged(sandbox, flood, "open('output.txt', 'w').write('1' * 1001)\n")[0].verdict is Verdict.OUTPUT_LIMIT
    assert judged(sandbox, flood, "open('output.txt', 'w').write('1' * 1000)\n")[0].verdict is Verdict.WRONG_ANSWER


def test_limits_are_the_rows_own_and_the_usual_where_it_has_none() -> None:
    own, none = problem(ROWS["4/A"]).limits, problem(ROWS["9/A"]).limits
    assert (own.cpu_s, own.memory_mb, own.deadline_s) == (0.5, 256, 0.5)
    assert (none.cpu_s, none.memory_mb) == (5.0, 1024)
    assert problem(PLAIN).limits.deadline_s == 4


def test_a_prompt_has_every_section_that_a_model_needs() -> None:
    prompt = problem(ROWS["7/C"] | {"note": "Mind zero."}).prompt
    sections = ["Problem C", "Do as the", "file input.txt and writes the file output.txt", "Input\nNumbers."]
    sections += ["Output\nNumbers.", "Sample Input:\n3 4\n\nSample Output:\n12", "Note\nMind zero.", "### Answer"]
    places = [prompt.rindex(section) for section in sections]
    assert places == sorted(places)
    assert "input.txt" not in problem(PLAIN).prompt


def test_interactive_rows_and_those_without_tests_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [INTERACTIVE, PLAIN, INTERACTIVE | {"id": "13/E"}, row("14/A", None), row("15/A", [], executable=False)]
    suite = load_suite(f"codeforces:{written(tmp_path / 'cf.jsonl', *rows)}")
    assert [asked.task_id for asked in suite.problems] == ["1/A"]
    assert suite.notes == ("2 interactive left out", "1 not executable left out", "1 without tests left out")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"time_limit": "2"}, "'time_limit' must be a number above 0, or null"),
        ({"time_limit": 0}, "'time_limit' must be a number above 0, or null"),
        ({"memory_limit": -1}, "'memory_limit' must be a number above 0"),
        ({"official_tests": [{"input": "1"}]}, "'official_tests' must be a list of objects"),
        ({"official_tests": "x"}, "'official_tests' must be a list of objects"),
        ({"input_mode": "socket"}, "'input_mode' is 'socket'; known are stdio and file"),
        ({"generated_checker": 3}, "'generated_checker' must be text"),
        ({"description": None}, "'description' must be text"),
        ('{"id": "1/A', "not JSON"),
    ],
)
def test_a_damaged_row_is_named_by_file_and_line_and_left_out(
    tmp_path: Path, damage: dict[str, Any] | str, words: str
) -> None:
    path = written(tmp_path / "cf.jsonl", PLAIN, damage if isinstance(damage, str) else ROWS["2/A"] | damage)
    suite = load_suite(f"codeforces:{path}")
    assert [asked.task_id for asked in suite.problems] == ["1/A"]
    assert suite.notes[0].startswith(f"1 damaged left out, the first: {path}:2: {words}")


def test_tests_generated_for_a_problem_are_asked_after_the_official_ones(tmp_path: Path) -> None:
    folder = tmp_path / "generated_tests"
    folder.mkdir()
    columns = {"problem_id": ["1/A", "1/B", "1/A"], "input": ["8 8\n", "x", "9 9\n"], "output": ["16\n", "y", "18\n"]}
    parquet.write_table(pyarrow.table(columns), folder / "test_cases_0001.parquet")
    first, second, third = load_suite(
        f"codeforces:{written(tmp_path / 'cf.jsonl', PLAIN, row('1/B', None), ROWS['2/A'])}"
    ).problems
    assert isinstance(first.test, Stdio)
    assert first.test.cases == (("1 2\n", "3\n"), ("5 7\n", "12\n"), ("8 8\n", "16\n"), ("9 9\n", "18\n"))
    assert second.test == Stdio((("x", "y"),), compare="folded")
    assert third.test == problem(ROWS["2/A"]).test
    before = load_suite(f"codeforces:{tmp_path / 'cf.jsonl'}").digest
    (folder / "test_cases_0001.parquet").write_bytes(b"PAR1 cut off")
    assert (
        load_suite(f"codeforces:{written(tmp_path / 'cf.jsonl', PLAIN, row('1/B', None), ROWS['2/A'])}").digest
        != before
    )
    with pytest.raises(SuiteError, match=r"2 damaged left out, the first: .*test_cases_0001\.parquet: cannot be read"):
        load_suite(f"codeforces:{written(tmp_path / 'cf.jsonl', PLAIN, row('1/B', None))}")


def test_reading_rows_imports_no_pyarrow(tmp_path: Path) -> None:
    path = written(tmp_path / "cf.jsonl", PLAIN)
    program = (
        "import sys\nfrom engine.suites.loading import load_suite\n"
        f"load_suite('codeforces:{path}')\nprint('pyarrow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
