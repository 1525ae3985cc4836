"""`ra3 judge`: the formats it takes, what it prints, and how it ends, with the real sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result as Outcome
from typer.testing import CliRunner

from engine.suites.loading import load_suite
from ra3tui.cli.exit import Exit
from ra3tui.cli.faults import Ra3Group
from ra3tui.cli.judge import Attempt, count_passed, judge, make_report
from sandbox import Result, SandboxUnavailable, Verdict

Judge = Callable[..., Outcome]


@pytest.fixture
def ra3_judge() -> Judge:
    """Calls `ra3 judge` with the given words, as the root command would."""
    app = typer.Typer(cls=Ra3Group)

    @app.callback()
    def _root(debug: bool = False) -> None: ...

    app.command()(judge)
    return lambda *words: CliRunner().invoke(app, ["judge", *map(str, words)])


def jsonl(path: Path, *items: Any) -> Path:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in items))
    return path


def report_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.exit_code == Exit.DONE, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    return report


BODY = (
    "    for i, a in enumerate(numbers):\n        for b in numbers[i + 1 :]:\n            if abs(a - b) < threshold:\n"
)
BODY += "                return True\n    return False\n"
WHOLE = "from typing import List\n\n\ndef has_close_elements(numbers, threshold):\n" + BODY


def test_every_format_gets_its_verdict_in_the_order_of_the_file(ra3_judge: Judge, tmp_path: Path) -> None:
    samples = [
        {"task_id": "HumanEval/0", "completion": BODY},
        {"task_id": "HumanEval/1", "completion": "    return []\n"},
        {"task_id": "HumanEval/0", "completion": "\n" + BODY},
        {"task_id": "HumanEval/0", "completion": WHOLE},
        {"task_id": "HumanEval/0", "completion": "from __future__ import annotations\n" + WHOLE},
        {"task_id": "HumanEval/0", "completion": WHOLE.split("\n\n\n")[1].replace("numbers,", "numbers: List[float],")},
        {"task_id": "HumanEval/0", "solution": WHOLE},
        {"task_id": 0, "solution": BODY},
        {"task_id": "0", "completion": "    return 1 / 0\n"},
        {"task_id": "HumanEval/0", "completion": "    exit()\n"},
    ]
    report = report_of(ra3_judge("humaneval", jsonl(tmp_path / "s.jsonl", *samples), "--json"))
    assert [(s["task_id"], s["verdict"]) for s in report["samples"]] == [
        ("HumanEval/0", "passed"),
        ("HumanEval/1", "wrong_answer"),
        ("HumanEval/0", "passed"),
        ("HumanEval/0", "passed"),
        ("HumanEval/0", "passed"),
        ("HumanEval/0", "passed"),
        ("HumanEval/0", "passed"),
        ("HumanEval/0", "syntax_error"),
        ("HumanEval/0", "runtime_error"),
        ("HumanEval/0", "early_exit"),
    ]
    assert report["suite"] == "humaneval"
    assert (report["n_samples"], report["n_problems"]) == (10, 2)
    assert report["pass@k"] == {"1": (6 / 9 + 0) / 2}
    assert all(s["cpu_s"] >= 0 and s["wall_s"] >= 0 for s in report["samples"])


@pytest.mark.medium
def test_all_of_humanevals_references_pass(ra3_judge: Judge) -> None:
    report = report_of(ra3_judge("humaneval", "--references", "--json"))
    assert report["verdicts"] == {"passed": 164}
    assert report["pass@k"] == {"1": 1.0}
    assert [s["task_id"] for s in report["samples"]] == [f"HumanEval/{i}" for i in range(164)]


def test_a_suite_may_be_given_its_file(ra3_judge: Judge, tmp_path: Path) -> None:
    item = {"text": "Double.", "test_list": ["assert twice(1) == 2"], "test_setup_code": ""}
    items = [item | {"task_id": n, "code": "def twice(x):\r\n\treturn 2 * x"} for n in (1, 11, 974)]
    report = report_of(ra3_judge(f"mbpp:{jsonl(tmp_path / 'm.jsonl', *items)}", "--references", "--json"))
    assert [(s["task_id"], s["passed"]) for s in report["samples"]] == [
        ("MBPP/1", True),
        ("MBPP/11", True),
        ("MBPP/974", True),
    ]
    assert report["suite"] == "mbpp"


def test_a_person_sees_pass_at_k_and_what_failed(ra3_judge: Judge, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "s.jsonl", {"task_id": "HumanEval/1", "completion": "    raise KeyError('\x1b[31m')\n"})
    outcome = ra3_judge("humaneval", path)
    assert outcome.exit_code == Exit.DONE
    assert "pass@1    0.0%" in outcome.stdout
    assert "HumanEval/1" in outcome.stdout
    assert "runtime_error" in outcome.stdout
    assert "\x1b[31m" not in outcome.stdout


def test_a_limit_judges_the_first_samples_only(ra3_judge: Judge) -> None:
    report = report_of(ra3_judge("humaneval", "--references", "--json", "--limit", 3))
    assert [s["task_id"] for s in report["samples"]] == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]


def test_samples_that_are_no_file_are_one_line(ra3_judge: Judge, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        outcome = ra3_judge("humaneval", path)
        assert outcome.exit_code == Exit.USAGE
        assert f"{path}: cannot be read" in outcome.stderr
        assert "not a file" in outcome.stderr


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"task_id": "\\ud800"}', "s.jsonl:2: holds half a character"),
        ("{oops", "s.jsonl:2: not JSON"),
        ([1], "s.jsonl:2: a JSON object is needed, this is a list"),
        ({"completion": "x"}, "s.jsonl:2: `task_id` is missing"),
        ({"task_id": "HumanEval/999", "completion": "x"}, "humaneval has no problem 'HumanEval/999'"),
        ({"task_id": "HumanEval/1", "code": "x"}, "neither `completion` nor `solution` is text; it has task_id, code"),
    ],
)
def test_a_bad_line_is_told_with_its_number(ra3_judge: Judge, tmp_path: Path, line: Any, what: str) -> None:
    path = jsonl(tmp_path / "s.jsonl", {"task_id": "HumanEval/0", "completion": BODY}, line)
    outcome = ra3_judge("humaneval", path)
    assert outcome.exit_code == Exit.USAGE
    assert what in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["humaneval"], "give either a file of samples or --references"),
        (["humaneval", "DIR/s.jsonl", "--references"], "give either a file of samples or --references"),
        (["humaneval", "DIR/missing.jsonl"], "missing.jsonl: cannot be read"),
        (["humaneval", "DIR/empty.jsonl"], "empty.jsonl: holds no sample"),
        (["nonsense", "--references"], "there is no suite 'nonsense'"),
        (["jsonl:DIR/own.jsonl", "--references"], "1 problems have no solution of their own, such as 0"),
    ],
)
def test_what_cannot_be_judged_is_one_clear_line(ra3_judge: Judge, tmp_path: Path, words: list[str], what: str) -> None:
    jsonl(tmp_path / "s.jsonl", {"task_id": "HumanEval/0", "completion": BODY})
    jsonl(tmp_path / "empty.jsonl")
    jsonl(tmp_path / "own.jsonl", {"prompt": '"""Do."""', "test_list": ["assert f(1) == 1"]})
    outcome = ra3_judge(*(word.replace("DIR", str(tmp_path)) for word in words))
    assert outcome.exit_code == Exit.USAGE
    assert what in outcome.stderr


def test_a_machine_without_a_sandbox_is_told_so(ra3_judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise SandboxUnavailable("no user namespaces here; ask for --backend docker")

    monkeypatch.setattr("sandbox.open_sandbox", refuse)
    outcome = ra3_judge("humaneval", "--references")
    assert outcome.exit_code == Exit.SANDBOX
    assert "no user namespaces here" in outcome.stderr


def test_faults_of_the_sandbox_count_for_nothing() -> None:
    first, second = load_suite("humaneval[:2]").problems
    attempts = [Attempt(p.task_id, p.job("")) for p in (first, second, first, first)]
    ended = [
        Result(verdict) for verdict in (Verdict.SANDBOX_ERROR, Verdict.PASSED, Verdict.PASSED, Verdict.WRONG_ANSWER)
    ]
    assert count_passed(attempts, ended) == [(2, 1), (1, 1)]
    assert make_report("humaneval", attempts, ended)["pass@k"] == {"1": 0.75}


def test_nothing_is_claimed_where_no_sample_got_a_verdict() -> None:
    (first,) = load_suite("humaneval[:1]").problems
    lost = replace(Result(Verdict.SANDBOX_ERROR), detail="the worker ended")
    report = make_report("humaneval", [Attempt(first.task_id, first.job(""))], [lost])
    assert report["pass@k"] == {}
    assert report["samples"][0]["detail"] == "the worker ended"
