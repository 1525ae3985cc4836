"""The launches of a reproduction: one recipe, a base model and a seed each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.reader import Reader
from engine.suites.passk import pass_at_k

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one model did on the problems of a suite."""

    counts: Mapping[str, tuple[int, int]]
    """Of each problem the samples that got a verdict, and how many passed."""
    costs: Mapping[str, float]
    """Of the training before it: ``tokens_trained``, ``tokens_generated``, ``flops``, ``seconds``."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One launch: all arms of the recipe on one base model under one seed."""

    model: str
    seed: int
    group: str
    runs: Mapping[str, str]
    """Arm to run."""
    evaluations: Mapping[tuple[str, str], Evaluation]
    """By arm and the stages before: ``("ntp", "ntp+rlvr")``."""


def read_trials(reader: Reader, tag: str) -> list[Trial]:
    """Those of the launches with a tag all of whose runs are done: the last of each base model and seed."""
    found: dict[tuple[str, int], Trial] = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in reversed(reader.runs()):
        if tag in json.loads(run["tags"]):
            groups.setdefault(run["group"], []).append(run)
    for group, runs in groups.items():
        if all(run["status"] == "done" for run in runs):
            model = json.loads(reader.run(runs[0]["id"])["config"])["model"]["id"]
            found[model, runs[0]["seed"]] = _trial(reader, model, group, runs)
    return [found[key] for key in sorted(found)]


def _trial(reader: Reader, model: str, group: str, runs: Sequence[dict[str, Any]]) -> Trial:
    counts = {run["id"]: reader.eval_counts(run["id"]) for run in runs}
    evaluations = {
        (row["arm"], row["after"]): Evaluation(counts[row["run"]][row["position"], row["suite"]], row)
        for row in reader.comparison(group)
    }
    return Trial(model, runs[0]["seed"], group, {run["arm"]: run["id"] for run in runs}, evaluations)


def pass_matrix(trials: Sequence[Trial], what: tuple[str, str], k: int) -> Floats:
    """[S, P] pass@k of each problem in each trial; problems that some trial has too few samples of are left out."""
    counts = [trial.evaluations[what].counts for trial in trials]
    tasks = sorted(task for task in counts[0] if all(of.get(task, (0, 0))[0] >= k for of in counts))
    return np.array([[pass_at_k(*of[task], k) for task in tasks] for of in counts])
