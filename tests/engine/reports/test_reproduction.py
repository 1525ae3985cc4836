"""The report of a reproduction: what it says of stores whose numbers are known."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from engine.reports.charts import line_chart
from engine.reports.claims import MEASURED, PENALTIES, gain, penalty_table, steps_to, updates_saved
from engine.reports.convergence import Curve, smoothed
from engine.reports.intervals import across
from engine.reports.reproduction import write_report
from engine.reports.trials import pass_matrix, read_trials
from engine.store.reader import Reader
from engine.store.writer import Writer

TASKS = [f"t{n}" for n in range(40)]
GROUPS = ["gone0", "gone1", "gtwo0", "gtwo1"]
RATES = {"base": 0.1, "ntp": 0.3, "ra3": 0.7, "ntp+rlvr": 0.3, "ra3+rlvr": 0.9, "rlvr": 0.1}
"""pass@1 by what came before the evaluation."""


def written(home: Path, model: str, seed: int, *, ntp: float = 0.3, slow: bool = False, updates: int = 12) -> None:
    """A launch with every arm: each problem's first so many of ten samples pass; ``slow`` ones learn at the end.

    ``updates`` are those of RLVR.
    """
    arms: dict[str, list[str]] = {}
    for arm, after in [*MEASURED.values(), *((arm, "ra3") for arm in PENALTIES)]:
        arms.setdefault(arm, [])
        if after not in arms[arm]:
            arms[arm].append(after)
    for arm, stages in arms.items():
        run = f"{Path(model).name}{seed}{arm}"
        with Writer(home, run) as writer:
            penalty = {"c001": 0.3, "c02": 0.02}.get(arm, 0.125)
            config = json.dumps({"model": {"id": model}, "ra3": {"penalty": penalty}})
            columns: dict[str, Any] = {"status": "done", "seed": seed, "folder": "f", "config": config}
            writer.create_run(**columns, group=f"g{Path(model).name}{seed}", name="n", arm=arm)
            for position, after in enumerate(stages):
                rate = ntp if after == "ntp" else RATES[after]
                _evaluation(writer, position, after, rate)
            metrics = {"annotate/think_rate": 0.25, "mstep/loss_code": 0.2, "ntp/loss_code": 0.5}
            for step in range(1, 13):
                writer.step = step
                share = float(step > 11) if slow else step / 12
                rewards = {"rlvr/reward": share * max(RATES[s] for s in stages)} if step <= updates else {}
                writer.metrics(metrics | rewards)


def _evaluation(writer: Writer, position: int, after: str, rate: float) -> None:
    row = {"position": position, "suite": "katas[:40]", "step": 0, "after": after}
    for k in (1, 5):
        value = {"k": k, "value": rate, "low": rate, "high": rate, "problems": len(TASKS), "n": 10, "masked": 0}
        writer.add("evals", row | value)
    for task in TASKS:
        for number in range(10):
            sample = {"step": 0, "phase": "eval", "position": position, "suite": "katas", "task": task}
            verdict = {"sample": number, "text": "", "tokens": 1, "stop": "eos", "verdict": "x"}
            writer.add("samples", sample | verdict | {"reward": float(number < 10 * rate)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for model in ("/m/one", "/m/two"):
        for seed in (0, 1):
            written(tmp_path, model, seed)
    return tmp_path


def test_the_page_tells_each_base_model_and_the_charts_lie_beside_it(home: Path) -> None:
    page = home / "docs" / "tiny.md"
    with closing(Reader(home)) as reader:
        write_report(reader, read_trials(reader, GROUPS), page, "ra3 reproduce", "a machine")
    text = page.read_text()
    assert text.count("## Base model") == 2
    assert "| RA3 - NTP | +40.0 [40.0, 40.0] |" in text
    assert text.count("NTP > base: holds") == 2
    assert text.count("ends below NTP's: holds") == 2
    assert text.count("ends higher: holds") == 2
    charts = sorted(path.name for path in page.parent.glob("*.svg"))
    assert charts == [f"tiny-{what}-{number}.svg" for what in ("losses", "rewards") for number in (0, 1)]
    assert all(name in text for name in charts)
    for name in charts:
        ElementTree.parse(page.with_name(name))


def test_a_claim_that_the_numbers_do_not_bear_does_not_hold(tmp_path: Path) -> None:
    for seed in (0, 1):
        written(tmp_path, "m", seed, ntp=0.7)
    with closing(Reader(tmp_path)) as reader:
        trials = read_trials(reader, ["gm0", "gm1"])
        assert gain(trials, "RA3", "NTP", 1).value == pytest.approx(0)
        write_report(reader, trials, tmp_path / "tiny.md", "c", "m")
    assert "NTP > base: does not hold" in (tmp_path / "tiny.md").read_text()


def test_a_row_of_the_ablation_is_called_after_the_penalty_that_its_runs_had(home: Path) -> None:
    with closing(Reader(home)) as reader:
        rows = penalty_table(reader, read_trials(reader, GROUPS[:2]))
    assert [row[0] for row in rows] == ["c = 0.02", "c = 0.125", "c = 0.3"]


def test_where_rlvr_took_no_update_the_page_says_so(tmp_path: Path) -> None:
    for seed in (0, 1):
        written(tmp_path, "m", seed, updates=0)
    with closing(Reader(tmp_path)) as reader:
        write_report(reader, read_trials(reader, ["gm0", "gm1"]), tmp_path / "tiny.md", "c", "m")
    assert "ends higher: not tried, as RLVR took no update" in (tmp_path / "tiny.md").read_text()
    assert not (tmp_path / "tiny-rewards-0.svg").exists()


def test_trials_are_those_of_the_groups_in_the_order_of_model_and_seed(home: Path) -> None:
    written(home, "/m/three", 0)
    with closing(Reader(home)) as reader:
        trials = read_trials(reader, reversed(GROUPS))
    assert [(trial.model, trial.seed) for trial in trials] == [(m, s) for m in ("/m/one", "/m/two") for s in (0, 1)]
    assert trials[0].evaluations["ra3", "ra3"].most == 5


def test_a_shipped_model_comes_before_folders_whose_names_are_longer(tmp_path: Path) -> None:
    written(tmp_path, "one", 0)
    written(tmp_path, "/a/one-2", 0)
    with closing(Reader(tmp_path)) as reader:
        models = [trial.model for trial in read_trials(reader, ["gone-20", "gone0"])]
    assert models == ["one", "/a/one-2"]


def test_rlvr_from_ra3_must_be_there_in_fewer_updates_for_the_claim_to_hold(tmp_path: Path) -> None:
    written(tmp_path, "m", 0)
    written(tmp_path, "m", 1, slow=True)
    with closing(Reader(tmp_path)) as reader:
        first, both = read_trials(reader, ["gm0"]), read_trials(reader, ["gm0", "gm1"])
        sooner, unsure = updates_saved(reader, first), updates_saved(reader, both)
        assert sooner == (7, 7, 7)
        assert unsure == (3.5, 0, 7)
        write_report(reader, both, tmp_path / "tiny.md", "c", "m")
    assert "ends higher: does not hold" in (tmp_path / "tiny.md").read_text()


def test_a_pass_matrix_has_a_row_a_seed_and_a_column_a_problem(home: Path) -> None:
    with closing(Reader(home)) as reader:
        trials = read_trials(reader, GROUPS)[:2]
    matrix = pass_matrix(trials, ("ra3", "ra3"), 1)
    assert matrix.shape == (2, len(TASKS))
    assert matrix == pytest.approx(0.7)
    assert pass_matrix(trials, ("ntp", "ntp"), 5) == pytest.approx(1 - np.prod([(7 - i) / (10 - i) for i in range(5)]))


def test_an_interval_takes_both_seeds_and_problems_for_chance() -> None:
    random = np.random.default_rng(0)
    by_problem = np.tile(random.random(100), (5, 1))
    by_seed = np.tile(random.random(5)[:, None], (1, 100))
    assert across(np.full((5, 100), 0.5)) == pytest.approx((0.5, 0.5, 0.5))
    assert not across(np.zeros((5, 100)) + 1e-12).is_above_zero
    problems, seeds = across(by_problem), across(by_seed)
    assert problems.low < by_problem.mean() < problems.high
    expected = 1.96 * by_problem[0].std() / 10
    assert problems.high - problems.value == pytest.approx(expected, rel=0.15)
    assert seeds.high - seeds.low > problems.high - problems.low
    assert across(np.array([0.1, 0.2, 0.3])).value == pytest.approx(0.2)


def curve(values: list[float], window: int = 1, *, steps: list[int] | None = None) -> Curve:
    return Curve(smoothed(values, window), {"steps": np.array(steps or range(1, len(values) + 1), float)})


def test_steps_to_a_level_are_counted_from_one_and_may_never_come() -> None:
    rewards = [[0.0, 0.2, 0.4, 0.6], [0.1, 0.1, 0.1, 0.1]]
    assert steps_to([curve(values) for values in rewards], [0.4, 0.4]) == [3, None]
    assert steps_to([curve(values) for values in rewards], [0.0, 0.1]) == [1, 1]
    assert steps_to([curve(values, 3) for values in rewards], [0.4, 0.1]) == [4, 1]


def test_a_running_mean_is_over_fewer_at_first() -> None:
    assert smoothed([1.0, 2.0, 3.0, 4.0], 2).tolist() == [1.0, 1.5, 2.5, 3.5]


def test_a_charts_line_rises_where_its_values_do() -> None:
    root = ElementTree.fromstring(line_chart("t <", "x", "y", {"a": np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0]])}))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    heights = [y for _, y in points]
    assert heights == sorted(heights, reverse=True)  # y grows downwards
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2 - (heights[0] - heights[2]) / 6, abs=0.2)
