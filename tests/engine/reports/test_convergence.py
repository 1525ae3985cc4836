"""How fast arms learn, from curves and stores whose numbers are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UsageFault
from engine.reports.convergence import Arm, Curve, Learning, arms_of, compared, passes_of, reward_curve, rewards_of
from engine.store.reader import Reader
from engine.store.writer import Writer


def run(home: Path, id_: str, arm: str, seed: int, group: str = "g", name: str = "n", **config: Any) -> Writer:
    writer = Writer(home, id_)
    text = json.dumps({"seed": seed, "name": f"recipe {seed}"} | config)
    writer.create_run(status="done", seed=seed, folder="f", config=text, group=group, name=name, arm=arm)
    return writer


def curve(values: Sequence[float], steps: Sequence[float] | None = None) -> Curve:
    at = np.array(range(1, len(values) + 1) if steps is None else steps, float)
    costs = {"steps": at, "tokens_trained": 10 * at, "tokens_generated": 5 * at, "seconds": at / 2, "flops": at * at}
    return Curve(np.array(values), costs)


def learning(name: str, *curves: Curve, seeds: Sequence[int] | None = None) -> Learning:
    return Learning(Arm(name, tuple({"id": f"{name}{s}", "seed": s} for s in seeds or range(len(curves)))), curves)


def test_a_level_costs_what_was_spent_at_the_first_value_not_below_it() -> None:
    (row,) = compared([learning("a", curve([0.1, 0.5, 0.4, 0.6]), curve([0.5, 0.1, 0.1, 0.1]))], level=0.5)
    assert (row["reached"], row["steps_by_seed"]) == (2, [2.0, 1.0])
    assert row["steps"]["value"] == 1.5
    assert (row["steps"]["low"], row["steps"]["high"]) == (1.0, 2.0)
    assert [row[cost]["value"] for cost in ("tokens_trained", "tokens_generated", "seconds", "flops")] == [
        *(15, 7.5, 0.75, 2.5),
    ]


def test_where_a_seed_never_comes_to_the_level_there_is_no_mean_of_what_it_cost() -> None:
    (row,) = compared([learning("a", curve([0.1, 0.5]), curve([0.1, 0.2]))], level=0.5)
    assert (row["reached"], row["steps_by_seed"]) == (1, [2.0, None])
    assert row["steps"] is None
    (row,) = compared([learning("a", curve([0.1, 0.5]))])
    assert (row["reached"], row["steps"]) == (None, None)


def test_an_area_is_the_mean_height_over_the_steps_that_all_curves_have() -> None:
    long, short = learning("long", curve([0.0, 1.0, 1.0, 1.0])), learning("short", curve([0.5, 0.7, 0.9]))
    rows = compared([long, short])
    assert [row["area"]["value"] for row in rows] == pytest.approx([(0.5 + 1.0) / 2, 0.7])
    rows = compared([learning("few", curve([0.0, 1.0], [4, 8])), learning("one", curve([0.3], [0])), long])
    assert rows[0]["area"]["value"] == pytest.approx((0 + 0.75) / 2)  # over the 3 steps of `long`, straight between
    assert rows[1]["area"]["value"] == 0.3


def test_the_last_value_has_an_interval_over_seeds_and_none_of_one_seed() -> None:
    two, one = learning("two", curve([0.1, 0.2]), curve([0.1, 0.4])), learning("one", curve([0.9, 0.6]))
    rows = compared([two, one])
    assert rows[0]["final"] == pytest.approx({"value": 0.3, "low": 0.2, "high": 0.4})
    assert rows[1]["final"] == {"value": 0.6, "low": None, "high": None}


def test_a_difference_is_paired_by_seed() -> None:
    """Seeds differ much, the arms by 0.1 in each: of means over seeds the interval would hold zero."""
    base = learning("base", curve([0.1]), curve([0.5]), curve([0.9]), seeds=[3, 4, 5])
    more = learning("more", curve([1.0]), curve([0.6]), curve([0.2]), curve([0.0]), seeds=[5, 4, 3, 9])
    rows = compared([base, more])
    assert rows[0]["delta"] is None
    assert rows[1]["delta"] == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})
    rows = compared([base, more], against="more")
    assert rows[0]["delta"]["value"] == pytest.approx(-0.1)
    assert rows[1]["delta"] is None
    assert compared([base, learning("other", curve([1.0]), seeds=[7])])[1]["delta"] is None
    with pytest.raises(UsageFault, match=r"--against 'x': no such arm to compare with; there are base, more"):
        compared([base, more], against="x")


def test_rewards_are_running_means_and_cost_what_rlvr_alone_took(tmp_path: Path) -> None:
    with run(tmp_path, "a", "base", 0) as writer:
        for step, (reward, tokens) in enumerate([(None, 900), (0.0, 10), (0.6, 20), (0.6, 30), (0.9, 5)], start=1):
            writer.step = step
            spent = {"cost/tokens_trained": tokens, "cost/tokens_generated": 1, "cost/flops": 2, "memory/peak_mb": 7}
            work = {"seconds/train": float(tokens), "seconds/sample": 1.0, "seconds/measure": 100.0}
            writer.metrics(spent | work | ({} if reward is None else {"rlvr/reward": reward}))
    with closing(Reader(tmp_path)) as reader:
        found = reward_curve(reader, "a", window=2)
        assert reward_curve(reader, "a").values == pytest.approx([0, 0.3, 0.4, 0.7])
    assert found.values == pytest.approx([0, 0.3, 0.6, 0.75])
    assert found.costs["steps"].tolist() == [1, 2, 3, 4]
    assert found.costs["tokens_trained"].tolist() == [10, 20, 30, 35]  # the last update is of another stage of rlvr
    assert found.costs["seconds"].tolist() == [11, 21, 31, 37]


def test_a_cost_that_the_store_does_not_tell_is_none(tmp_path: Path) -> None:
    with run(tmp_path, "a", "base", 0) as writer:
        writer.step = 1
        writer.metrics({"rlvr/reward": 0.5})
    with closing(Reader(tmp_path)) as reader:
        (row,) = compared(rewards_of(reader, [Arm("base", ({"id": "a", "seed": 0},))]), level=0.5)
    assert row["steps"]["value"] == 1
    assert row["flops"] == {"value": None, "low": None, "high": None}


def test_an_arm_that_lacks_a_run_with_rewards_is_left_out(tmp_path: Path) -> None:
    for id_ in ("a", "b", "c"):
        with run(tmp_path, id_, "base", 0) as writer:
            writer.metrics({"loss": 1.0} if id_ == "b" else {"rlvr/reward": 1.0})
    rows = [({"id": id_, "seed": seed}) for seed, id_ in enumerate("abc")]
    with closing(Reader(tmp_path)) as reader:
        found = rewards_of(reader, [Arm("some", tuple(rows[:2])), Arm("all", tuple(rows[::2]))])
    assert [each.arm.name for each in found] == ["all"]


def test_launches_of_one_recipe_are_seeds_of_its_arms_and_others_are_told_apart(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "arm": "base", "seed": 1, "group": "g1", "name": "one"},
        {"id": "b", "arm": "rlvr", "seed": 1, "group": "g1", "name": "one"},
        {"id": "c", "arm": "base", "seed": 0, "group": "g2", "name": "one"},
        {"id": "d", "arm": "rlvr", "seed": 1, "group": "g3", "name": "other"},
    ]
    configs = {row["id"]: json.dumps({"seed": row["seed"], "name": row["id"], "x": row["id"] == "d"}) for row in rows}
    arms = arms_of(rows, configs)
    assert [(arm.name, [each["id"] for each in arm.runs]) for arm in arms] == [
        *(("base", ["c", "a"]), ("rlvr (one)", ["b"]), ("rlvr (other)", ["d"])),
    ]
    rows[3]["name"] = "one"
    assert [arm.name for arm in arms_of(rows, configs)] == ["base", "rlvr (g1)", "rlvr (g3)"]
    rows[2]["seed"] = 1
    with pytest.raises(UsageFault, match=r"a and c are one arm of one recipe under one seed \(1\)"):
        arms_of(rows, configs)


def evaluated(writer: Writer, position: int, step: int, after: str, passed: dict[str, int], suite: str = "s") -> None:
    """Two samples a problem, of which so many passed."""
    row = {"position": position, "suite": suite, "k": 1, "step": step, "after": after, "low": 0, "high": 1, "masked": 0}
    writer.add("evals", row | {"value": sum(passed.values()) / 2 / len(passed), "problems": len(passed), "n": 2})
    for task, count in passed.items():
        for number in range(2):
            sample = {"step": step, "phase": "eval", "position": position, "suite": suite, "task": task}
            verdict = {"sample": number, "text": "", "tokens": 1, "stop": "eos", "verdict": "x"}
            writer.add("samples", sample | verdict | {"reward": float(number < count)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two seeds of an arm that only is evaluated, and of one that learns by 0.5 on each problem at its end."""
    for seed in (0, 1):
        with run(tmp_path, f"b{seed}", "base", seed, f"g{seed}") as writer:
            evaluated(writer, 0, 0, "base", {"x": 0, "y": 1})
        with run(tmp_path, f"r{seed}", "rlvr", seed, f"g{seed}") as writer:
            writer.stage(0, "eval", status="done", seconds=3)
            evaluated(writer, 0, 0, "base", {"x": 0, "y": 1})
            writer.stage(1, "rlvr", status="done", seconds=50, tokens_trained=700, tokens_generated=70, flops=7)
            evaluated(writer, 2, 9, "rlvr", {"x": 1, "y": 2})
    return tmp_path


def both(reader: Reader, **options: Any) -> list[Learning]:
    runs = [row for seed in (0, 1) for row in reader.runs(f"g{seed}")]
    arms = arms_of(runs, {row["id"]: reader.run(row["id"])["config"] for row in runs})
    return passes_of(reader, sorted(arms, key=lambda arm: arm.name), 1, **options)


def test_evaluations_cost_all_training_before_them_and_are_paired_by_problem(home: Path) -> None:
    with closing(Reader(home)) as reader:
        rows = compared(both(reader), level=0.7)
        earlier = compared(both(reader, position=0), level=0.2)
    assert [(row["arm"], row["reached"]) for row in rows] == [("base", 0), ("rlvr", 2)]
    spent = {name: rows[1][name]["value"] for name in ("steps", "tokens_trained", "tokens_generated", "seconds")}
    assert spent == {"steps": 9, "tokens_trained": 700, "tokens_generated": 70, "seconds": 50}
    assert rows[1]["area"]["value"] == pytest.approx((0.25 + 0.75) / 2)
    assert rows[1]["final"]["value"] == 0.75
    assert (rows[1]["final"]["low"], rows[1]["final"]["high"]) == (0.5, 1.0)  # problems are drawn again
    assert rows[1]["delta"] == {"value": 0.5, "low": 0.5, "high": 0.5}  # and what makes them hard for both cancels
    assert [(row["final"]["value"], row["reached"]) for row in earlier] == [(0.25, 2), (0.25, 2)]


def test_evaluations_on_several_suites_need_the_name_of_one(home: Path) -> None:
    with run(home, "other", "other", 0, "g0") as writer:
        evaluated(writer, 0, 0, "base", {"x": 2}, suite="t")
    with closing(Reader(home)) as reader:
        with pytest.raises(UsageFault, match=r"--suite must name one suite that the runs were evaluated on: s, t"):
            both(reader)
        assert [each.arm.name for each in both(reader, suite="t")] == ["other"]
        assert [each.arm.name for each in both(reader, suite="s")] == ["base", "rlvr"]
        with pytest.raises(UsageFault, match="no run here has taken an update of rlvr"):
            rewards_of(reader, [each.arm for each in both(reader, suite="s")])
