"""The launches of a reproduction: one recipe, a base model and a seed each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.store.reader import Reader
from engine.suites.passk import pass_at_k

Floats = NDArray[np.float64]
Counts = Mapping[str, tuple[int, int]]
"""Of each problem the samples that got a verdict, and how many passed."""
_COSTS = ("tokens_trained", "tokens_generated", "flops", "seconds")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one model did on the problems of a suite."""

    counts: Counts
    most: int
    """The largest k of its pass@k."""
    costs: Mapping[str, float]
    """`_COSTS` of the training before it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One launch: all arms of the recipe on one base model under one seed."""

    model: str
    seed: int
    runs: Mapping[str, str]
    """Arm to run."""
    evaluations: Mapping[tuple[str, str], Evaluation]
    """By arm and the stages before: ``("ntp", "ntp+rlvr")``."""


def read_trials(reader: Reader, groups: Iterable[str]) -> list[Trial]:
    """The launches of these groups, by base model and seed."""
    trials = [_trial(reader, group) for group in groups]
    return sorted(trials, key=lambda trial: (Path(trial.model).name, trial.model, trial.seed))


def _trial(reader: Reader, group: str) -> Trial:
    runs = reader.runs(group)
    model = json.loads(reader.run(runs[0]["id"])["config"])["model"]["id"]
    counts = {run["id"]: reader.eval_counts(run["id"]) for run in runs}
    evaluations = {
        (row["arm"], row["after"]): Evaluation(
            counts[row["run"]][row["position"], row["suite"]], max(row["pass"]), {cost: row[cost] for cost in _COSTS}
        )
        for row in reader.comparison(group)
    }
    return Trial(model, runs[0]["seed"], {run["arm"]: run["id"] for run in runs}, evaluations)


def pass_matrix(trials: Sequence[Trial], what: tuple[str, str], k: int) -> Floats:
    """[S, P] pass@k of each problem in each trial; problems that some trial has too few samples of are left out."""
    found = common_pass_matrices([[trial.evaluations[what].counts for trial in trials]], k)
    return np.empty((len(trials), 0)) if found is None else found[0]


def common_pass_matrices(counts: Sequence[Sequence[Counts]], k: int) -> list[Floats] | None:
    """[S, P] pass@k for each of several models, each given as its evaluations under S seeds.

    The problems are those that every evaluation has k samples of; None where there is no such problem.
    """
    everyone = [of for model in counts for of in model]
    tasks = sorted(task for task in everyone[0] if all(of.get(task, (0, 0))[0] >= k for of in everyone))
    if not tasks:
        return None
    return [np.array([[pass_at_k(*of[task], k) for task in tasks] for of in model]) for model in counts]
