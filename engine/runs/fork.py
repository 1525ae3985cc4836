"""A run that begins from a checkpoint of another one, its recipe changed from there on. Imports no torch.

The fork has the checkpoint as its own, so that it outlives its parent. It takes over what the parent had recorded by
then of metrics, phases, stages and evaluations, so that its curves and costs begin where the model did; traces, samples
and events stay with the parent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UsageFault
from engine.recipe.files import parse_override
from engine.recipe.recipe import Recipe
from engine.recipe.sections import StageKind
from engine.runs.inputs import inherited, record, recorded
from engine.runs.knobs import LIVE_KNOBS, with_changes
from engine.runs.places import Checkpoint, Place, newest_sound, saved, step_in_name
from engine.runs.planning import Plan, PlannedRun, new_id, plan_run, recipe_of
from engine.store.reader import Reader
from engine.store.writer import Writer

LENGTHS = ("ntp.tokens", "ra3.rounds", "ra3.estep.updates", "ra3.mstep.tokens", "rlvr.updates")
"""How long a stage goes on: may change while it does, as what was done by then does not depend on it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fork begins."""

    parent: dict[str, Any]
    """The parent's row."""
    checkpoint: Path
    place: Place
    recipe: Recipe
    """As it held for the parent by then."""
    passed_over: tuple[str, ...] = ()
    """Newer checkpoints that were meant and are damaged, in words."""


def find_origin(home: Path, reference: str) -> Origin:
    """The checkpoint that a person means by ``RUN@STEP``, or by ``RUN`` alone for its newest.

    Where that one is damaged, the one before it.

    Raises:
        UsageFault: the run has no checkpoint there; the message names those it has.
        StoreError: there is no such run.
    """
    run, _, step = reference.rpartition("@")
    if not (run and step.isdecimal()):
        run, step = reference, ""
    with closing(Reader(home)) as reader:
        parent = reader.run(run)
        changes = reader.changes(parent["id"])
    folder = home / parent["id"] / "checkpoints"
    _check_any(folder, parent["id"], step)
    sound, damaged = newest_sound(folder, int(step) if step else None)
    words = tuple(f"{path.name} of run {parent['id']} is damaged: {why}" for path, why in damaged.items())
    if sound is None:
        raise UsageFault(f"{'; '.join(words)}; none before it is whole, so run the recipe anew")
    checkpoint, place = sound
    recipe = with_changes(recipe_of(parent), changes, place.step)
    return Origin(parent, checkpoint, place, recipe, words)


def _check_any(folder: Path, run: str, step: str) -> None:
    """Refuse a step of which there is no checkpoint, whole or not."""
    if not folder.parent.is_dir():
        raise UsageFault(f"run {run}: its folder {folder.parent} is gone, and its checkpoints with it")
    steps = {step_in_name(path) for path in folder.glob("[0-9]*")} | {place.step for _, place in saved(folder)}
    if not steps or (step and int(step) not in steps):
        what = f"at step {step}" if step else "yet"
        raise UsageFault(f"run {run} has no checkpoint {what}; {_listing(saved(folder))}")


def _listing(checkpoints: Sequence[Checkpoint]) -> str:
    if not checkpoints:
        return "it wrote none, so run its recipe anew"
    steps = [f"{place.step} ({'end of' if place.ended else 'in'} {place.kind})" for _, place in checkpoints]
    return f"it has {', '.join(dict.fromkeys(steps))}; checkpoints.keep keeps more of those inside a stage"


def forked_recipe(origin: Origin, overrides: Sequence[str]) -> Recipe:
    """The parent's recipe with ``overrides`` that hold from the checkpoint on.

    Raises:
        UsageFault: one that cannot: of the model, of what the stage at work has planned, of stages that are over.
    """
    values = dict(parse_override(override) for override in overrides)
    (arm,) = origin.recipe.arms
    for key in values:
        _check_may_change(key, origin.place, arm)
    recipe = origin.recipe.with_values(values).for_arm(arm)
    before, stages = origin.recipe.arms[arm].stages, recipe.arms[arm].stages
    begun = origin.place.position + 1
    if stages[:begun] != before[:begun]:
        raise UsageFault(f"a fork here has begun with {' > '.join(before[:begun])}: its stages begin with these")
    if origin.place.ended and len(stages) == begun:
        more = json.dumps([*stages, "rlvr", "eval"])
        raise UsageFault(
            f"run {origin.parent['id']} had done all its stages at step {origin.place.step}: fork an earlier one, or "
            f"give the fork more of them: 'arms.{arm}.stages={more}'"
        )
    return recipe


def stages_left(origin: Origin, recipe: Recipe) -> tuple[StageKind, ...]:
    """What a fork by ``recipe`` has still to do."""
    (arm,) = recipe.arms.values()
    return arm.stages[origin.place.position + origin.place.ended :]


def _check_may_change(key: str, place: Place, arm: str) -> None:
    section = key.split(".", maxsplit=1)[0]
    if section in ("model", "lora"):
        raise UsageFault(f"{key}: a fork has the weights of its checkpoint; start a run for another model")
    if section == "arms" and key != f"arms.{arm}.stages":
        raise UsageFault(f"{key}: a fork has one arm, {arm}; of it arms.{arm}.stages may change")
    planned = {"seed", place.kind, *(("corpus",) if place.kind in ("ntp", "ra3") else ())}
    if not place.ended and section in planned and key not in (*LIVE_KNOBS, *LENGTHS):
        own = [other for other in (*LIVE_KNOBS, *LENGTHS) if other.startswith(f"{place.kind}.")]
        raise UsageFault(
            f"{key}: the checkpoint at step {place.step} is inside the stage {place.kind}, which had planned with it; "
            f"fork at the end of a stage, or change {', '.join(own)}"
        )


def plan_fork(home: Path, origin: Origin, recipe: Recipe, *, name: str | None = None, tags: Sequence[str] = ()) -> Plan:
    """Write down a queued run that goes on from ``origin`` by ``recipe``, in a group of its own.

    Raises:
        EnvironmentFault: its folder or the store cannot be written.
    """
    parent, place = origin.parent, origin.place
    columns = {
        "group": new_id(),
        "name": name or parent["name"],
        "tags": json.dumps(list(tags)),
        "seed": recipe.seed,
        "parent": parent["id"],
        "parent_step": place.step,
        "step": place.step,
    }
    planned = plan_run(recipe, parent["arm"], home, columns, origin.checkpoint)
    inside = None if place.ended else recipe.arms[parent["arm"]].stages[place.position]
    record(planned.folder, inherited(recipe, inside, recorded(home / parent["id"])))
    with Writer(home, planned.id) as writer:
        writer.inherit(parent["id"], place.step, place.position)
        writer.stage(place.position, place.kind, **_stage_so_far(place, planned, origin.checkpoint.name))
        for words in origin.passed_over:
            writer.event("checkpoint", f"{words}; this fork begins from {origin.checkpoint.name}", "warning")
    return Plan(columns["group"], (planned,))


def _stage_so_far(place: Place, planned: PlannedRun, checkpoint: str) -> dict[str, Any]:
    """The row of the stage that the checkpoint is of, as it was then."""
    used = {key: place.costs[key] for key in ("tokens_trained", "tokens_generated", "flops", "peak_mb")}
    used |= {"seconds": place.costs["wall"], "work": json.dumps(place.costs["seconds"])}
    if not place.ended:
        return {**used, "status": "stopped", "last_step": None, "ended": None, "checkpoint": None}
    own = planned.folder / "checkpoints" / checkpoint
    return {**used, "status": "done", "last_step": place.step, "checkpoint": str(own)}
