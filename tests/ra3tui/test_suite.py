"""`ra3 suite`: what is at hand, a problem as a model sees it, and references judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from engine.suites.loading import KNOWN, load_suite
from ra3tui.cli.exit import Exit
from ra3tui.cli.suite import app
from tests.engine.suites.formats.livecodebench_rows import CASES


def suite(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_each_suite_a_recipe_may_name_is_listed() -> None:
    assert json.loads(suite("list", "--json").stdout)["suites"] == KNOWN
    assert all(name in suite("list").stdout for name in KNOWN)


def test_a_problem_is_shown_with_its_reference_and_its_tests() -> None:
    problem = load_suite("katas[:4]").problems[3]
    shown = suite("show", "katas[:10]", "katas/3")
    assert problem.program(problem.reference or "") in shown.stdout
    assert problem.test.source in shown.stdout
    assert json.loads(suite("show", "katas[:10]", "katas/3", "--json").stdout)["prompt"] == problem.prompt
    assert json.loads(suite("show", "katas[:10]", "--json").stdout)["task"] == "katas/0"


def test_a_problem_that_is_not_there_is_told_with_those_that_are() -> None:
    fault = suite("show", "katas[:3]", "katas/7").exception
    assert "no problem 'katas/7'; its ids go from katas/0 to katas/2" in str(fault)


@pytest.mark.medium
def test_references_that_fail_are_named(tmp_path: Path) -> None:
    right = {"task_id": "r", "prompt": "def f(x):", "reference": "    return x", "test_list": ["assert f(1) == 1"]}
    wrong = right | {"task_id": "w", "reference": "    return 2 * x"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(right) + "\n" + json.dumps(wrong) + "\n")
    checked = suite("check", f"jsonl:{path}")
    assert checked.exit_code == Exit.FAILED
    assert "passed: 1" in checked.stdout
    assert "not as it should be: w" in checked.stderr
    assert suite("check", f"jsonl[:1]:{path}").exit_code == Exit.DONE


@pytest.mark.slow
def test_katas_are_checked_for_mutants_and_overlap_too() -> None:
    report = json.loads(suite("check", "katas[:5]", "--json").stdout)
    assert (report["references"], report["passed"], report["shared"]) == (5, 5, 0)
    assert report["mutants"] == report["killed"] > 10_000


def test_what_a_file_has_that_is_no_problem_is_told_and_so_are_known_flaws(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    flawed = CASES[5].row | {"question_id": "abc350_c"}
    path.write_text(json.dumps(flawed) + "\n{oops\n")
    checked = suite("check", f"livecodebench:{path}")
    assert checked.exit_code == Exit.DONE
    assert "problems: 1\nreferences: 0" in checked.stdout
    assert "flaw of abc350_c: some of its tests are wrong" in checked.stdout
    assert f"livecodebench: 1 damaged left out, the first: {path}:2: not JSON" in checked.stderr.replace("\n", "")
    shown = suite("show", f"livecodebench:{path}")
    assert "'2\\n1\\n2\\n' -> '3\\n'" in shown.stdout
    assert "3 cases" in shown.stdout
