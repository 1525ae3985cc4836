"""Gains on the untrained model, from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.store.reader import Reader
from engine.store.writer import Writer
from engine.suites.comparison import compared


def evaluated(
    home: Path, arm: str, after: str, passed: dict[str, list[float | None]], ranges: tuple[str, ...] = ("",)
) -> None:
    """A run of ``arm`` with one evaluation: of each problem the rewards of its samples, None for a sandbox error."""
    with Writer(home, arm) as writer:
        columns: dict[str, Any] = {"status": "done", "seed": 0, "folder": "f", "config": "{}"}
        writer.create_run(**columns, group="g", name="n", arm=arm)
        for task, rewards in passed.items():
            for number, reward in enumerate(rewards):
                row = {"step": 0, "phase": "eval", "position": 1, "suite": "s", "task": task, "sample": number}
                verdict = {"text": "", "tokens": 1, "stop": "eos", "verdict": "x", "reward": reward}
                writer.add("samples", row | verdict)
                writer.add("samples", row | verdict | {"phase": "rlvr", "reward": 1.0})
        row = {"position": 1, "k": 1, "step": 0, "after": after, "value": 0.5, "low": 0.4, "high": 0.6}
        for range_ in ranges:
            writer.add("evals", row | {"suite": f"s{range_}", "problems": len(passed), "n": 2, "masked": 0})


def gains(home: Path) -> dict[str, dict[str, Any]]:
    reader = Reader(home)
    rows = compared(reader, "g")
    reader.close()
    return {row["arm"]: row["pass"][1] for row in rows}


def test_a_gain_is_that_of_the_evaluations_own_samples_problem_by_problem(tmp_path: Path) -> None:
    evaluated(tmp_path, "base", "base", {"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [None, None]})
    evaluated(tmp_path, "ra3", "ra3", {"a": [1.0, 1.0], "b": [0.0, None], "c": [1.0, 1.0]})
    cell = gains(tmp_path)["ra3"]
    assert cell["delta"] == pytest.approx((0.5 + 0.0) / 2)
    assert (cell["delta_low"], cell["delta_high"], cell["delta_problems"]) == (0.0, 0.5, 2)


def test_a_gain_on_a_range_of_a_file_has_an_interval_and_one_of_two_ranges_has_none(tmp_path: Path) -> None:
    """The samples have the name of the file's suite."""
    for arm in ("base", "ra3"):
        evaluated(tmp_path, arm, arm, {"a": [1.0, 0.0], "b": [0.0, 1.0]}, ("[:2]",))
    assert gains(tmp_path)["ra3"]["delta_problems"] == 2
    two = tmp_path / "two"
    two.mkdir()
    for arm in ("base", "ra3"):
        evaluated(two, arm, arm, {"a": [1.0, 0.0], "b": [0.0, 1.0]}, ("[:1]", "[1:]"))
    assert gains(two)["ra3"]["delta_problems"] is None


def test_without_samples_the_gain_is_that_of_the_means_and_has_no_interval(tmp_path: Path) -> None:
    evaluated(tmp_path, "base", "base", {"a": [1.0]})
    evaluated(tmp_path, "fork", "ra3", {})
    cell = gains(tmp_path)["fork"]
    assert (cell["delta"], cell["delta_low"], cell["delta_high"], cell["delta_problems"]) == (0.0, None, None, None)


def test_the_base_has_no_gain_and_without_one_nobody_has(tmp_path: Path) -> None:
    evaluated(tmp_path, "ntp", "ntp", {"a": [1.0]})
    assert gains(tmp_path)["ntp"]["delta"] is None
    evaluated(tmp_path, "base", "base", {"a": [1.0]})
    assert gains(tmp_path)["base"]["delta"] is None
    assert gains(tmp_path)["ntp"]["delta"] == 0
