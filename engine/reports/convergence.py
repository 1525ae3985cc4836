"""How fast arms learn: what each had cost when it came to a level, the area under its curve, and what it came to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import UsageFault
from engine.reports.intervals import across
from engine.reports.trials import Counts, Floats, common_pass_matrices
from engine.store.reader import Reader

COSTS = ("steps", "tokens_trained", "tokens_generated", "seconds", "flops")
WINDOW = 3
"""Updates whose running mean is a curve of rewards: one update's alone is too rough to be a level."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What one run came to, against what it had cost by then."""

    values: Floats
    """[N]"""
    costs: Mapping[str, Floats]
    """By `COSTS`, each [N] and never falling; NaN where the store does not tell."""

    def first_at(self, level: float) -> int | None:
        """Index of the first value that is not below ``level``; None where all are."""
        reached = np.nonzero(self.values >= level)[0]
        return int(reached[0]) if len(reached) else None

    def area(self, steps: float) -> float:
        """Its mean height over so many steps from its first value on, straight between two values."""
        at = self.costs["steps"] - self.costs["steps"][0]
        if steps <= 0 or len(at) < 2:
            return float(self.values[0])
        inside = at < steps
        places = np.append(at[inside], steps)
        heights = np.append(self.values[inside], np.interp(steps, at, self.values))
        return float(np.trapezoid(heights, places) / steps)


@dataclass(frozen=True, slots=True)
class Arm:
    """The runs of one arm of one recipe, a seed each."""

    name: str
    runs: tuple[Mapping[str, Any], ...]
    """Rows of the store, by seed."""


@dataclass(frozen=True, slots=True)
class Learning:
    """An arm's curves, a run each, and what its last values are means of."""

    arm: Arm
    curves: tuple[Curve, ...]
    counts: tuple[Counts, ...] = field(default=())
    """Of pass@k: for each run the judged samples and passes of each problem, at the end of its curve."""

    @property
    def finals(self) -> Floats:
        """[S] what each run came to."""
        return np.array([curve.values[-1] for curve in self.curves])

    @property
    def seeds(self) -> list[int]:
        """In the order of the curves."""
        return [int(run["seed"]) for run in self.arm.runs]


def smoothed(series: Sequence[float] | Floats, window: int) -> Floats:
    """Running means over so many values, fewer at the beginning."""
    sums = np.cumsum([0.0, *series])
    ends = np.arange(1, len(series) + 1)
    begins = np.maximum(0, ends - window)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def reward_curve(reader: Reader, run: str, window: int = WINDOW) -> Curve:
    """RLVR's reward as a running mean; costs are those of RLVR alone."""
    series = reader.series(run, "rlvr/reward")
    spent = reader.spent_by_step(run)
    costs = {
        name: _growing([spent.get(step, {}).get(name, np.nan) for step, _ in series])
        for name in COSTS
        if name != "steps"
    }
    steps = np.arange(1, len(series) + 1, dtype=float)
    return Curve(smoothed([value for _, value in series], window), {"steps": steps, **costs})


def pass_curve(evaluations: Sequence[Mapping[str, Any]], k: int) -> Curve:
    """pass@k of one run's evaluations on one suite, by `Reader.comparison`; costs are those of all training before."""
    values = np.array([row["pass"][k]["value"] for row in evaluations])
    costs = {name: np.array([row["step" if name == "steps" else name] for row in evaluations], float) for name in COSTS}
    return Curve(values, costs)


def _growing(counted: Sequence[float]) -> Floats:
    """What is counted anew in each stage, summed over the stages."""
    counts = np.asarray(counted, float)
    before = np.concatenate([[0.0], counts[:-1]])
    return np.cumsum(np.where(counts < before, counts, counts - before))


def arms_of(runs: Sequence[Mapping[str, Any]], configs: Mapping[str, str]) -> list[Arm]:
    """``runs`` of several launches by what they are runs of: an arm with its recipe, whatever its seed and name.

    Args:
        runs: rows of the store, in the order in which arms are told.
        configs: the resolved recipe of each, by id.

    Raises:
        UsageFault: two of them differ in nothing.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        config = {key: value for key, value in json.loads(configs[run["id"]]).items() if key not in {"seed", "name"}}
        same = found[run["arm"], json.dumps(config, sort_keys=True)]
        twin = next((other for other in same if other["seed"] == run["seed"]), None)
        if twin is not None:
            raise UsageFault(
                f"{twin['id']} and {run['id']} are one arm of one recipe under one seed ({run['seed']}): "
                "they tell nothing of chance; leave one out"
            )
        same.append(run)
    return [Arm(_name(key, found), tuple(sorted(own, key=lambda run: int(run["seed"])))) for key, own in found.items()]


def _name(key: tuple[str, str], found: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> str:
    """The arm's; where several recipes have one of that name, with the launch's name, or its id, behind it."""
    alike = [own[0] for other, own in found.items() if other[0] == key[0]]
    run = found[key][0]
    if len(alike) == 1:
        return key[0]
    mark = "name" if len({other["name"] for other in alike}) == len(alike) else "group"
    return f"{key[0]} ({run[mark]})"


def rewards_of(reader: Reader, arms: Sequence[Arm], window: int = WINDOW) -> list[Learning]:
    """The rewards of those ``arms`` that have any in each run.

    Raises:
        UsageFault: none has.
    """
    found = [Learning(arm, tuple(reward_curve(reader, run["id"], window) for run in arm.runs)) for arm in arms]
    usable = [learning for learning in found if all(len(curve.values) for curve in learning.curves)]
    if not usable:
        raise UsageFault("no run here has taken an update of rlvr; --metric pass@1 compares evaluations")
    return usable


def passes_of(
    reader: Reader, arms: Sequence[Arm], k: int, suite: str | None = None, position: int | None = None
) -> list[Learning]:
    """pass@k of those ``arms`` that were evaluated on ``suite`` in each run, up to the stage at ``position``.

    Raises:
        UsageFault: none was, or on several suites and none was named.
    """
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for group in dict.fromkeys(run["group"] for arm in arms for run in arm.runs):
        for row in reader.comparison(group):
            if k in row["pass"] and (position is None or row["position"] <= position):
                rows[row["run"]].append(row)
    own = {run["id"] for arm in arms for run in arm.runs}
    suites = list(dict.fromkeys(row["suite"] for run, of_run in rows.items() if run in own for row in of_run))
    chosen = [name for name in suites if suite is None or suite in {name, name.partition("#")[0]}]
    if len(chosen) != 1:
        there = ", ".join(suites) or f"none has a pass@{k}"
        raise UsageFault(f"--suite must name one suite that the runs were evaluated on: {there}")
    return [_passes(reader, arm, rows, chosen[0], k) for arm in arms if _all_have(arm, rows, chosen[0])]


def _all_have(arm: Arm, rows: Mapping[str, Sequence[Mapping[str, Any]]], suite: str) -> bool:
    return all(any(row["suite"] == suite for row in rows.get(run["id"], ())) for run in arm.runs)


def _passes(reader: Reader, arm: Arm, rows: Mapping[str, Sequence[Mapping[str, Any]]], suite: str, k: int) -> Learning:
    curves, counts = [], []
    for run in arm.runs:
        own = [row for row in rows[run["id"]] if row["suite"] == suite]
        curves.append(pass_curve(own, k))
        counts.append(reader.eval_counts(run["id"]).get((own[-1]["position"], suite), {}))
    return Learning(arm, tuple(curves), tuple(counts))


def compared(
    learnings: Sequence[Learning], *, level: float | None = None, against: str | None = None, k: int = 1
) -> list[dict[str, Any]]:
    """A row an arm: seeds, costs to the level, area, last value, and what that has more than the last value of another.

    Each number is a mean over seeds, ``{value, low, high}`` with the 95% interval of `across`; of a single seed low and
    high are None, unless there are problems to draw again. ``reached`` are the seeds that came to ``level``: where it
    is not all of them there is no mean of what it cost, and every cost's value is None. The area is over as many steps
    as every curve of more than one value has. ``delta`` is paired by seed, and of pass@k by problem too; None for the
    arm itself, and where the two share no seed.

    Args:
        learnings: the curves of each arm.
        level: that is to be reached; None for none.
        against: name of the arm that others are told the difference to; the first by default.
        k: of pass@k, where that is what the curves tell.

    Raises:
        UsageFault: there is no arm ``against``.
    """
    names = [learning.arm.name for learning in learnings]
    if against is not None and against not in names:
        raise UsageFault(f"--against {against!r}: no such arm to compare with; there are {', '.join(names)}")
    base = learnings[names.index(against or names[0])]
    spans = [np.ptp(c.costs["steps"]) for learning in learnings for c in learning.curves if len(c.values) > 1]
    steps = min(spans, default=0.0)
    return [
        {
            "arm": learning.arm.name,
            "runs": [run["id"] for run in learning.arm.runs],
            "seeds": learning.seeds,
            "level": level,
            **_costs_to(learning, level),
            "area": _told(np.array([curve.area(steps) for curve in learning.curves])),
            "final": _told(_final_matrix(learning, k)),
            "delta": None if learning is base else _difference(learning, base, k),
        }
        for learning in learnings
    ]


def _costs_to(learning: Learning, level: float | None) -> dict[str, Any]:
    """By cost, and how many seeds ``reached`` the level; what each of them took in ``steps_by_seed``."""
    if level is None:
        return {"reached": None, "steps_by_seed": None, **dict.fromkeys(COSTS)}
    places = [curve.first_at(level) for curve in learning.curves]
    pairs = list(zip(learning.curves, places, strict=True))
    by_seed = {name: [None if at is None else float(c.costs[name][at]) for c, at in pairs] for name in COSTS}
    return {
        "reached": sum(at is not None for at in places),
        "steps_by_seed": by_seed["steps"],
        **{name: None if None in costs else _told(np.array(costs, float)) for name, costs in by_seed.items()},
    }


def _final_matrix(learning: Learning, k: int) -> Floats:
    """[S, P] of pass@k, where each run has its samples, else [S, 1]."""
    found = common_pass_matrices([learning.counts], k) if all(learning.counts) and learning.counts else None
    return learning.finals[:, None] if found is None else found[0]


def _difference(ours: Learning, theirs: Learning, k: int) -> dict[str, Any] | None:
    shared = sorted(set(ours.seeds) & set(theirs.seeds))
    if not shared:
        return None
    places = [[learning.seeds.index(seed) for seed in shared] for learning in (ours, theirs)]
    counts = [
        [learning.counts[place] for place in own] if learning.counts else []
        for learning, own in zip((ours, theirs), places, strict=True)
    ]
    found = common_pass_matrices(counts, k) if all(all(own) and own for own in counts) else None
    if found is not None:
        return _told(found[0] - found[1])
    return _told((ours.finals[places[0]] - theirs.finals[places[1]])[:, None])


def _told(values_SP: Floats) -> dict[str, Any]:
    """The mean and its interval; of one number alone there is none, and what the store does not tell is None."""
    if np.isnan(values_SP).any():
        return dict.fromkeys(("value", "low", "high"))
    value, low, high = across(values_SP)
    alone = values_SP.size == 1
    return {"value": value, "low": None if alone else low, "high": None if alone else high}
