"""`ra3 judge`: the formats it takes, what it prints, and how it ends, with the real sandbox."""

from __future__ import annotations

import json
import os
import re
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
from ra3tui.cli.judge import judge
from ra3tui.cli.samples import Attempt, between_last_fences
from ra3tui.cli.verdicts import count_passed, make_report
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


@pytest.mark.medium
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
    outcome = ra3_judge("humaneval", "--references", "--json")
    report = report_of(outcome)
    assert re.fullmatch(r"(?s).*judging humaneval: 164 in \d+\.\d s, \d+\.\d/s\n", outcome.stderr)
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
    assert count_passed(list(zip(attempts, ended, strict=True))) == [(2, 1), (1, 1)]
    assert make_report("humaneval", attempts, dict(enumerate(ended)))["pass@k"] == {"1": 0.75}


def test_samples_of_a_broken_test_count_for_nothing() -> None:
    first, second = load_suite("humaneval[:2]").problems
    attempts = [Attempt(p.task_id, p.job("")) for p in (first, first, second)]
    ended = [Result(verdict) for verdict in (Verdict.TEST_ERROR, Verdict.TEST_ERROR, Verdict.PASSED)]
    assert count_passed(list(zip(attempts, ended, strict=True))) == [(0, 0), (1, 1)]


def test_nothing_is_claimed_where_no_sample_got_a_verdict() -> None:
    (first,) = load_suite("humaneval[:1]").problems
    lost = replace(Result(Verdict.SANDBOX_ERROR), detail="the worker ended")
    report = make_report("humaneval", [Attempt(first.task_id, first.job(""))], {0: lost})
    assert report["pass@k"] == {}
    assert report["samples"][0]["detail"] == "the worker ended"


def test_a_sample_of_another_suite_is_refused_by_its_id(ra3_judge: Judge, tmp_path: Path) -> None:
    outcome = ra3_judge("humaneval", jsonl(tmp_path / "s.jsonl", {"task_id": "MBPP/11", "completion": BODY}))
    assert outcome.exit_code == Exit.USAGE
    assert "s.jsonl:1: humaneval has no problem 'MBPP/11'; its ids look like 'HumanEval/0'" in outcome.stderr


def test_a_number_that_two_problems_end_in_stands_for_neither(ra3_judge: Judge, tmp_path: Path) -> None:
    own = {"prompt": "def f(x):", "test_list": ["assert f(1) == 1"]}
    suite = jsonl(tmp_path / "own.jsonl", own | {"task_id": "a/1"}, own | {"task_id": "b/1"})
    for task_id, code in (("A/1", Exit.DONE), ("1", Exit.USAGE)):
        sample = jsonl(tmp_path / "s.jsonl", {"task_id": task_id, "completion": "    return x"})
        assert ra3_judge(f"jsonl:{suite}", sample).exit_code == code


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"task_id": None, "completion": "x"}, "`task_id` is null"),
        ({"task_id": True, "completion": "x"}, "`task_id` is true or false"),
        ({"task_id": 1.0, "completion": "x"}, "`task_id` is a number"),
        ({"task_id": 1, "completion": None}, "`completion` is null"),
        ({"task_id": 1, "solution": ["x"]}, "`solution` is a list"),
        ({"task_id": 1, "completion": {}, "solution": 3}, "`completion` is an object and `solution` is a number"),
    ],
)
def test_a_column_of_another_type_is_named_with_it(ra3_judge: Judge, tmp_path: Path, line: Any, what: str) -> None:
    outcome = ra3_judge("humaneval", jsonl(tmp_path / "s.jsonl", line))
    assert outcome.exit_code == Exit.USAGE
    assert what in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_null_beside_what_is_judged_is_nothing(ra3_judge: Judge, tmp_path: Path) -> None:
    sample = {"task_id": 0, "completion": BODY, "solution": None}
    assert report_of(ra3_judge("humaneval", jsonl(tmp_path / "s.jsonl", sample), "--json"))["verdicts"] == {"passed": 1}


SLOW = "    import time\n    while time.process_time() < 0.8:\n        pass\n" + BODY


@pytest.mark.medium
@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ((), "passed"),
        (("--cpu", 0.3), "time_limit"),
        (("--timeout-factor", 0.05), "time_limit"),
        (("--cpu", 0.3, "--timeout-factor", 10), "passed"),
    ],
)
def test_a_sample_has_the_time_it_is_given(
    ra3_judge: Judge, tmp_path: Path, words: tuple[Any, ...], verdict: str
) -> None:
    path = jsonl(tmp_path / "s.jsonl", {"task_id": 0, "completion": SLOW})
    assert report_of(ra3_judge("humaneval", path, "--json", *words))["verdicts"] == {verdict: 1}


@pytest.mark.medium
def test_a_sample_has_the_memory_it_is_given(ra3_judge: Judge, tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "s.jsonl", {"task_id": 0, "completion": "    held = bytearray(b'x') * (300 << 20)\n" + BODY}
    )
    for megabytes, verdict in ((600, "passed"), (64, "memory_limit")):
        report = report_of(ra3_judge("humaneval", path, "--json", "--memory", megabytes))
        assert report["verdicts"] == {verdict: 1}


CHAT = f"Here is one:\n\n```python\n{WHOLE}```\n\nIt can be tried so:\n\n```\n" + "print(1)\n" * 60 + "```\n"


@pytest.mark.medium
def test_a_program_is_taken_out_of_a_chats_fences(ra3_judge: Judge, tmp_path: Path) -> None:
    cut_off = f"Sure:\n~~~py\n{WHOLE}"
    answers = [{"task_id": 0, "solution": answer} for answer in (CHAT, cut_off, WHOLE)]
    answers.append({"task_id": 0, "completion": CHAT})
    path = jsonl(tmp_path / "s.jsonl", *answers)
    taken = report_of(ra3_judge("humaneval", path, "--json", "--extract", "fences"))
    assert taken["verdicts"] == {"passed": 4}
    as_they_are = report_of(ra3_judge("humaneval", path, "--json"))
    assert as_they_are["verdicts"] == {"syntax_error": 3, "passed": 1}


def test_a_whole_program_is_what_stands_between_the_last_two_fences() -> None:
    chat = "A first try:\n```python\nprint(1)\n```\nBetter:\n```python\nprint(2)\n\nprint(3)\n```\nDone."
    assert between_last_fences(chat) == "print(2)\n\nprint(3)"
    assert between_last_fences("print(1)\n```") == "print(1)\n```"
    assert between_last_fences("print(1)") == "print(1)"


@pytest.mark.medium
def test_a_whole_program_is_taken_out_of_a_chats_fences_too(ra3_judge: Judge, tmp_path: Path) -> None:
    row = {"task_id": "n", "prompt": "Print n.", "tests": [{"input": "5", "output": "5"}]}
    suite = f"jsonl:{jsonl(tmp_path / 'own.jsonl', row)}"
    chat = "```\nprint(0)\n```\n```python\nprint(input())\n```"
    path = jsonl(tmp_path / "s.jsonl", {"task_id": "n", "completion": chat})
    assert report_of(ra3_judge(suite, path, "--json", "--extract", "fences"))["verdicts"] == {"passed": 1}
    assert report_of(ra3_judge(suite, path, "--json"))["verdicts"] == {"syntax_error": 1}


def test_results_may_be_had_as_they_come(ra3_judge: Judge, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "s.jsonl", *({"task_id": n, "completion": "    return []\n"} for n in (1, 0, 2)))
    outcome = ra3_judge("humaneval", path, "--jsonl")
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert sorted((line["sample"], line["task_id"]) for line in lines) == [
        (0, "HumanEval/1"),
        (1, "HumanEval/0"),
        (2, "HumanEval/2"),
    ]


@pytest.mark.medium
def test_what_may_be_imported_is_chosen_and_named(ra3_judge: Judge, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "s.jsonl", {"task_id": 0, "completion": "    import numpy\n" + BODY})
    given = report_of(ra3_judge("humaneval", path, "--json", "--packages", "numpy"))["samples"][0]
    withheld = report_of(ra3_judge("humaneval", path, "--json", "--packages", "none"))["samples"][0]
    assert (given["verdict"], [name.split()[0] for name in given["packages"]]) == ("passed", ["numpy"])
    assert (withheld["verdict"], withheld["packages"]) == ("runtime_error", [])
    lacking = ra3_judge("humaneval", path, "--packages", "no-such-thing")
    assert lacking.exit_code == Exit.SANDBOX
    assert "there is no 'no-such-thing' installed here" in lacking.stderr


def test_the_sanitised_mbpps_columns_are_read(ra3_judge: Judge, tmp_path: Path) -> None:
    item = {"task_id": 2, "prompt": "Half.", "code": "def half(x):\n    return x / 2", "source_file": "x"}
    item |= {"test_imports": ["import math"], "test_list": ["assert math.isclose(half(1), 0.5)"]}
    report = report_of(ra3_judge(f"mbpp:{jsonl(tmp_path / 'm.jsonl', item)}", "--references", "--json"))
    assert report["verdicts"] == {"passed": 1}


def test_what_is_broken_in_a_suite_is_one_clear_line(ra3_judge: Judge, tmp_path: Path) -> None:
    item = {"task_id": 2, "text": "Half.", "code": "def half(x): ...", "test_list": ["assert half(1) == 0.5"]}
    for change, what in (
        ({"text": None}, "'text' must be text, found NoneType"),
        ({"code": 3}, "'code' must be text, found int"),
        ({"test_imports": "math"}, "'test_imports' must be a list of texts, found text"),
        ({"test_list": [None]}, "'test_list' must be a list of assert statements"),
    ):
        outcome = ra3_judge(f"mbpp:{jsonl(tmp_path / 'm.jsonl', item | change)}", "--references")
        assert (outcome.exit_code, outcome.stderr.count("\n")) == (Exit.USAGE, 1)
        assert what in outcome.stderr
    twice = ra3_judge(f"mbpp:{jsonl(tmp_path / 'm.jsonl', item, item)}", "--references")
    assert "the task id 'MBPP/2' is that of" in twice.stderr
