"""`ra3 compare`: its forms, and what it is told in a line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from seeded import create
from typer.testing import CliRunner

from ra3tui.cli import app
from ra3tui.cli.exit import Exit


def compare(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words, "--home", str(home)], catch_exceptions=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two launches of one recipe: `fast` learns in two updates, `slow` in four, or under one seed never."""
    for seed, last in ((0, 0.8), (1, 0.2)):
        for arm, rewards in (("slow", [0.0, 0.0, 0.0, last]), ("fast", [0.0, 0.8, 0.8, 0.8])):
            config = json.dumps({"seed": seed, "arm": arm})
            with create(
                tmp_path, f"{arm}{seed}", arm=arm, group=f"g{seed}", seed=seed, config=config, status="done"
            ) as w:
                for step, reward in enumerate(rewards, start=1):
                    w.step = step
                    w.metrics(
                        {"rlvr/reward": reward, "cost/tokens_trained": 1000.0 * step, "seconds/train": 2.0 * step}
                    )
                row = {"position": 1, "suite": "katas[:2]", "k": 1, "step": 4, "after": "rlvr", "low": 0, "high": 1}
                w.add("evals", row | {"value": rewards[-1], "problems": 2, "n": 1, "masked": 0})
    return tmp_path


def test_the_table_has_costs_to_the_level_and_differences(home: Path) -> None:
    outcome = compare(home, "g0", "g1", "--level", "0.5", "--window", "1")
    assert outcome.exit_code == Exit.DONE, outcome.stderr
    head, _, slow, fast = [line.split("  ") for line in outcome.stdout.splitlines() if line.strip()]
    words = [[word.strip() for word in line if word.strip()] for line in (head, slow, fast)]
    assert words[0] == [
        *(
            "arm",
            "seeds",
            "reached 50%",
            "steps",
            "trained",
            "generated",
            "flop",
            "time",
            "area",
            "reward",
            "difference",
        ),
    ]
    assert words[1] == ["slow", "2", "1 of 2", "-", "-", "-", "-", "-", "8.3 [3.3, 13.3]", "50.0 [20.0, 80.0]", "-"]
    assert words[2] == [
        *("fast", "2", "2 of 2", "2 [2, 2]", "2.0k [2.0k, 2.0k]", "-", "-", "4s [4s, 4s]"),
        *("66.7 [66.7, 66.7]", "80.0 [80.0, 80.0]", "+30.0 [+0.0, +60.0]"),
    ]


def test_json_and_csv_tell_the_same_and_go_to_a_file(home: Path) -> None:
    words = ("g0", "g1", "--level", "0.5", "--against", "fast")
    report = json.loads(compare(home, *words, "--json").stdout)
    assert (report["metric"], report["level"], report["against"]) == ("reward", 0.5, "fast")
    file = home / "table.csv"
    outcome = compare(home, *words, "--csv", "--out", str(file))
    assert outcome.stdout == ""
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["arm"] for row in rows] == ["slow", "fast"] == [row["arm"] for row in report["arms"]]
    for row, arm in zip(rows, report["arms"], strict=True):
        assert float(row["final"]) == arm["final"]["value"]
        assert float(row["area_low"]) == arm["area"]["low"]
    assert rows[1]["steps"] == "3.0"  # as a running mean over three updates
    assert (rows[0]["seeds"], rows[0]["steps"], rows[0]["reached"], rows[1]["delta"]) == ("0 1", "", "0", "")


def test_latex_compares_evaluations_where_asked(home: Path) -> None:
    text = compare(home, "g0", "g1", "--metric", "pass@1", "--latex").stdout
    assert "% pass@1 in percent, means over seeds, 95% intervals" in text
    assert r"\begin{tabular}{lrrrr}" in text
    assert r"fast & 2 & 80.0 [80.0, 80.0] & 80.0 [80.0, 80.0] & +30.0 [+0.0, +60.0] \\" in text


def test_a_chart_has_a_curve_an_arm_as_far_as_all_its_runs_go(home: Path) -> None:
    with create(home, "fast2", arm="fast", group="g2", seed=2, config=json.dumps({"arm": "fast"})) as w:
        for w.step in (1, 2):
            w.metrics({"rlvr/reward": 0.5})
    file = home / "chart.svg"
    assert compare(home, "g0", "g1", "g2", "--svg", "--window", "1", "--out", str(file)).exit_code == Exit.DONE
    lines = [line for line in file.read_text().splitlines() if "<polyline" in line]
    assert [len(line.split('"')[1].split()) for line in lines] == [4, 2]
    assert ">reward<" in file.read_text()
    assert ">update<" in file.read_text()
    assert ">evaluation<" in compare(home, "g0", "g1", "--metric", "pass@1", "--svg").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["g0", "--json", "--csv"], "--json, --csv, --latex and --svg: give one of them"),
        (["g0", "--latex", "--svg"], "--json, --csv, --latex and --svg: give one of them"),
        (["g0", "--svg", "--level", "0.5"], "--level and --against are of tables, not of --svg"),
        (["g0", "--svg", "--against", "fast"], "--level and --against are of tables, not of --svg"),
        (["g0", "--out", "x"], "--out: say what is to be written there"),
        (["g0", "--metric", "loss"], "--metric 'loss': write reward, or pass@K"),
        (["g0", "--metric", "pass@0"], "--metric 'pass@0': write reward, or pass@K"),
        (["g0", "--metric", "reward", "--suite", "katas"], "--suite and --position are of --metric pass@K"),
        (["g0", "--metric", "pass@1", "--window", "2"], "--window is of --metric reward"),
        (
            ["g0", "--metric", "pass@5"],
            "the runs were evaluated on: none has a pass@5",
        ),
        (["g0", "--suite", "mbpp"], "--suite must name one suite that the runs were evaluated on: katas[:2]"),
        (["g0", "--against", "x"], "--against 'x': no such arm to compare with; there are slow, fast"),
    ],
)
def test_what_cannot_be_compared_is_one_line(home: Path, words: list[str], told: str) -> None:
    outcome = compare(home, *words)
    assert (outcome.exit_code, outcome.stdout) == (Exit.USAGE, "")
    assert told in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_run_counts_once_and_what_is_left_out_or_unfinished_is_told(home: Path) -> None:
    with create(home, "none", arm="none", group="g0", config=json.dumps({"arm": "none"}), status="stopped"):
        pass
    outcome = compare(home, "g0", "slow0", "g1", "--json")
    assert [row["seeds"] for row in json.loads(outcome.stdout)["arms"]] == [[0, 1], [0, 1]]
    assert "left out, as not every run of theirs has such numbers: none" in outcome.stderr
    assert "not done, compared as far as they are: none stopped" in outcome.stderr
