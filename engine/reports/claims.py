"""The paper's four claims (Zhang et al., 2025), each as what the trials of a reproduction say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from engine.reports.charts import line_chart
from engine.reports.convergence import Curve, reward_curve
from engine.reports.intervals import Interval, across
from engine.reports.tables import in_percent
from engine.reports.trials import Floats, Trial, pass_matrix
from engine.store.reader import Reader

Rows = list[list[str]]
MEASURED = {
    "base": ("base", "base"),
    "NTP": ("ntp", "ntp"),
    "RA3": ("ra3", "ra3"),
    "NTP, RA3's seconds": ("ntp-seconds", "ntp"),
    "NTP, RA3's FLOPs": ("ntp-flops", "ntp"),
    "oracle comments": ("oracle", "ntp"),
    "shuffled comments": ("shuffled", "ntp"),
    "base, gate held open": ("open", "base"),
    "base + RLVR": ("base", "rlvr"),
    "NTP + RLVR": ("ntp", "ntp+rlvr"),
    "RA3 + RLVR": ("ra3", "ra3+rlvr"),
}
"""What is compared: its name in the tables, its arm and the stages before the evaluation."""
PAIRS = (("RA3", "NTP"), ("NTP", "base"), ("RA3", "NTP, RA3's seconds"), ("RA3", "NTP, RA3's FLOPs"))
BY_RLVR = (
    ("RA3 + RLVR", "NTP + RLVR"),
    ("RA3 + RLVR", "RA3"),
    ("NTP + RLVR", "NTP"),
    ("base + RLVR", "base"),
)
"""What RLVR adds, and where it leads."""
PENALTIES = ("c001", "ra3", "c02")
"""Arms that differ in the penalty alone."""
_RLVR_ARMS = ("base", "ntp", "ra3")
_LAST = 10
"""Updates whose mean is what an arm came to."""


def by_model(trials: Sequence[Trial]) -> list[tuple[str, list[Trial]]]:
    """The trials of each base model."""
    return [(model, list(own)) for model, own in groupby(trials, key=lambda trial: trial.model)]


def pass_table(trials: Sequence[Trial], k: int) -> Rows:
    """pass@k of each measured model, a row each, with what its training cost."""
    rows = []
    for name, what in MEASURED.items():
        costs = [trial.evaluations[what].costs for trial in trials]
        mean = {key: float(np.mean([cost[key] for cost in costs])) for key in ("tokens_trained", "flops", "seconds")}
        rows.append(
            [
                name,
                in_percent(across(pass_matrix(trials, what, 1))),
                in_percent(across(pass_matrix(trials, what, k))),
                f"{mean['tokens_trained'] / 1000:.0f}k",
                f"{mean['flops'] / 1e9:.0f}",
                f"{mean['seconds']:.0f}",
            ]
        )
    return rows


def pair_table(trials: Sequence[Trial], k: int) -> Rows:
    """What the first of each pair has more than the second, on the same problems and draws."""
    return [
        [f"{first} - {second}", *(in_percent(gain(trials, first, second, at), signed=True) for at in (1, k))]
        for first, second in (*PAIRS, *BY_RLVR)
    ]


def gain(trials: Sequence[Trial], first: str, second: str, k: int) -> Interval:
    """pass@k of one of `MEASURED` less that of another, paired by seed and problem."""
    return across(pass_matrix(trials, MEASURED[first], k) - pass_matrix(trials, MEASURED[second], k))


def code_losses(reader: Reader, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
    """[S] nats a token of code at the end of NTP and of RA3's last M-step."""
    found = [
        [float(np.mean([value for _, value in reader.series(trial.runs[arm], key)][-_LAST:])) for trial in trials]
        for arm, key in (("ntp", "ntp/loss_code"), ("ra3", "mstep/loss_code"))
    ]
    return np.array(found[0]), np.array(found[1])


def reward_curves(reader: Reader, trials: Sequence[Trial], arm: str) -> list[Curve]:
    """RLVR's rewards, a curve a seed."""
    return [reward_curve(reader, trial.runs[arm]) for trial in trials]


def has_rlvr(reader: Reader, trials: Sequence[Trial]) -> bool:
    """Did RLVR take an update in every arm and seed?"""
    return all(len(curve.values) for arm in _RLVR_ARMS for curve in reward_curves(reader, trials, arm))


def steps_to(curves: Sequence[Curve], levels: Iterable[float]) -> list[int | None]:
    """For each seed the first update whose running mean reaches its level; None where none does."""
    places = [curve.first_at(level) for curve, level in zip(curves, levels, strict=True)]
    return [None if place is None else place + 1 for place in places]


def last_rewards(curves: Sequence[Curve]) -> Floats:
    """[S] what each seed's running mean came to."""
    return np.array([curve.values[-1] for curve in curves])


def updates_saved(reader: Reader, trials: Sequence[Trial]) -> Interval:
    """How many fewer updates RLVR from RA3 needs than from NTP to come to NTP's last reward, paired by seed.

    What never comes there is taken to need one more than it had.
    """
    ntp, ra3 = (reward_curves(reader, trials, arm) for arm in ("ntp", "ra3"))
    goals = last_rewards(ntp)
    theirs, ours = (
        np.array([step or len(curve.values) + 1 for step, curve in zip(steps_to(curves, goals), curves, strict=True)])
        for curves in (ntp, ra3)
    )
    return across(np.asarray(theirs - ours, float))


def convergence_table(reader: Reader, trials: Sequence[Trial]) -> Rows:
    """Of RLVR from each model: the reward it began and ended with, and the updates to what NTP's came to."""
    curves = {arm: reward_curves(reader, trials, arm) for arm in _RLVR_ARMS}
    goals = last_rewards(curves["ntp"])
    return [
        [
            arm,
            in_percent(across(np.array([curve.values[0] for curve in own]))),
            in_percent(across(last_rewards(own))),
            ", ".join("never" if step is None else str(step) for step in steps_to(own, goals)),
        ]
        for arm, own in curves.items()
    ]


def penalty_table(reader: Reader, trials: Sequence[Trial]) -> Rows:
    """The ablation of c: where it thinks, what that costs, what it gives."""
    rows = []
    penalties = {arm: penalty(reader, trials[0].runs[arm]) for arm in PENALTIES}
    for arm in sorted(penalties, key=lambda arm: penalties[arm]):
        latest = [reader.latest(trial.runs[arm]) for trial in trials]
        costs = [trial.evaluations[arm, "ra3"].costs for trial in trials]
        rows.append(
            [
                f"c = {penalties[arm]:g}",
                in_percent(across(np.array([values["annotate/think_rate"] for values in latest]))),
                f"{np.mean([cost['tokens_generated'] for cost in costs]) / 1000:.0f}k",
                f"{np.mean([cost['seconds'] for cost in costs]):.0f}",
                in_percent(across(pass_matrix(trials, (arm, "ra3"), 1))),
            ]
        )
    return rows


def penalty(reader: Reader, run: str) -> float:
    """c, of the recipe that a run began with."""
    return float(json.loads(reader.run(run)["config"])["ra3"]["penalty"])


def draw_rewards(reader: Reader, trials: Sequence[Trial], file: Path) -> None:
    """The rewards of RLVR from each model, as a chart."""
    curves = {
        arm: np.array([[value for _, value in reader.series(trial.runs[arm], "rlvr/reward")] for trial in trials])
        for arm in _RLVR_ARMS
    }
    file.write_text(line_chart("RLVR from each model", "update", "share that passed", curves), encoding="utf-8")


def draw_losses(reader: Reader, trials: Sequence[Trial], file: Path) -> None:
    """The code losses of NTP and of the M-steps, as a chart over their updates."""
    series = {
        "ntp": [[value for _, value in reader.series(trial.runs["ntp"], "ntp/loss_code")] for trial in trials],
        "ra3": [[value for _, value in reader.series(trial.runs["ra3"], "mstep/loss_code")] for trial in trials],
    }
    curves = {name: np.array([row[: min(map(len, rows))] for row in rows]) for name, rows in series.items()}
    chart = line_chart("Cross-entropy of code while imitating", "update", "nats a token", curves)
    file.write_text(chart, encoding="utf-8")
