"""What runs need from outside, asked for before anything is trained: a night's work must not end at its last stage.

Imports no torch: the command line and the dashboard ask before they plan a run, its engine again before it begins.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from engine.corpora.comments import check_file
from engine.corpora.sources import find_source
from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.recipe import Recipe
from engine.recipe.sections import StageKind
from engine.runs.inputs import load_suites
from engine.runs.planning import choose_arms
from engine.runs.rollouts import check_rollouts
from engine.suites.overlap import count_shared
from engine.suites.problem import Suite


def check_launch(recipe: Recipe, arms: Sequence[str] | None = None, home: Path | None = None) -> list[str]:
    """Ask for all that the ``arms`` of ``recipe`` need, all of them when None, of runs in ``home`` where it is given.

    Returns:
        What stands in no run's way, but a person may want to know, a line each.

    Raises:
        UsageFault: the recipe names what is not there, or what cannot be used.
        EnvironmentFault: this machine lacks something.
    """
    chosen = choose_arms(recipe, arms)
    parts = {arm: recipe.for_arm(arm) for arm in chosen}
    warnings: dict[str, None] = {}
    check_processes(parts.values())
    for i, (arm, part) in enumerate(parts.items()):
        stages = part.arms[arm].stages
        warnings |= dict.fromkeys(check_needs(part, stages, home))
        if "ntp" in stages and part.ntp.as_long_as is not None:
            _check_budget(part.ntp.as_long_as, [parts[before] for before in chosen[:i]])
    return list(warnings)


def check_processes(recipes: Iterable[Recipe]) -> int:
    """How many processes ``recipes`` ask for.

    Raises:
        UsageFault: they do not agree.
    """
    sizes = {recipe.compute.processes for recipe in recipes}
    if len(sizes) > 1:
        raise UsageFault(f"compute.processes differs between these runs ({sorted(sizes)}): start them one by one")
    return sizes.pop()


def check_needs(recipe: Recipe, stages: Sequence[StageKind], home: Path | None = None) -> list[str]:
    """Ask for what ``stages`` of the only arm of ``recipe`` need, of runs in ``home`` where it is given.

    Returns and raises as `check_launch`.
    """
    warnings = _check_suites(recipe, stages, home)
    if {"ntp", "ra3"} & set(stages) and recipe.corpus.kind != "katas":
        find_source(recipe.corpus.kind, recipe.corpus.path)
    if "ntp" in stages:
        check_file(recipe.ntp)
    if recipe.lora.rank and importlib.util.find_spec("peft") is None:
        raise EnvironmentFault("lora.rank is set, which needs peft: pip install 'ra3[lora]'")
    return warnings


def _check_suites(recipe: Recipe, stages: Sequence[StageKind], home: Path | None) -> list[str]:
    suites = load_suites(recipe, stages)
    warnings = [f"{suite.kind}: {note}" for suite in suites.values() for note in suite.notes]
    if {"eval", "rlvr"} <= set(stages):
        warnings += _overlaps(recipe, suites)
    if "eval" in stages:
        names = [suites[spec].name for spec in recipe.eval.suites]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise UsageFault(f"eval.suites: {twice} is there twice; name each suite once")
    if "rlvr" in stages:
        settings, problems = recipe.rlvr, suites[recipe.rlvr.suite].problems
        there = len(problems)
        if settings.rollouts is not None:
            if home is not None:
                check_rollouts(home, settings, problems)
        elif there < settings.problems_per_update:
            raise UsageFault(
                f"rlvr.suite = {settings.suite!r} has {there} problems, an update asks for "
                f"{settings.problems_per_update}: lower rlvr.problems_per_update, or widen the suite's range"
            )
    return warnings


def _overlaps(recipe: Recipe, suites: Mapping[str, Suite]) -> list[str]:
    """A line for each suite that is evaluated on and has problems that are trained on."""
    training = suites[recipe.rlvr.suite]
    shared = {spec: count_shared(training, suites[spec]) for spec in recipe.eval.suites}
    return [
        f"{count} of the {len(training.problems)} problems that rlvr.suite trains on have the prompt of one of "
        f"{suites[spec].kind}, which eval.suites measures: its pass@k will tell of memory too"
        for spec, count in shared.items()
        if count
    ]


def _check_budget(arm: str, before: Sequence[Recipe]) -> None:
    """Refuse a budget that is the time of an arm which does not train before."""
    for recipe in before:
        if arm in recipe.arms and {"ntp", "ra3"} & set(recipe.arms[arm].stages):
            return
    raise UsageFault(f"ntp.as_long_as = {arm!r}: no arm of that name trains before; put it before this one")
