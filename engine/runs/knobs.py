"""Settings that may be changed while a run is at work. Imports no torch."""

from __future__ import annotations

import json
from typing import Any

from engine.recipe.files import parse_override
from engine.recipe.keys import RecipeError, value_at
from engine.recipe.recipe import Recipe
from engine.runs.planning import recipe_of
from engine.store.reader import Reader

Request = dict[str, Any]
"""A row of the table ``controls``."""

LIVE_KNOBS = (
    "ntp.optimiser.learning_rate",
    "ra3.penalty",
    "ra3.estep.temperature",
    "ra3.estep.gate_temperature",
    "ra3.estep.optimiser.learning_rate",
    "ra3.mstep.optimiser.learning_rate",
    "rlvr.temperature",
    "rlvr.optimiser.learning_rate",
)
"""Settings that may change while a run is at work; the first part of each is the stage it is for."""


def knobs(recipe: Recipe) -> dict[str, Any]:
    """The live knobs of the stages that ``recipe`` has, with their values."""
    stages = {stage for arm in recipe.arms.values() for stage in arm.stages}
    return {key: value_at(recipe, key) for key in LIVE_KNOBS if key.split(".")[0] in stages}


def parse_knob(recipe: Recipe, setting: str) -> tuple[str, Any]:
    """Split ``key=value``, the key a live knob of ``recipe``.

    Raises:
        RecipeError: no such key, a value that does not fit it, or a key that is not live.
    """
    key, value = parse_override(setting)
    check_live(recipe, key)
    return key, value


def check_live(recipe: Recipe, key: str) -> None:
    """Refuse a key that is no live knob of ``recipe``.

    Raises:
        RecipeError: naming those that are.
    """
    live = knobs(recipe)
    if key not in live:
        hint = f"those are {', '.join(live)}" if live else "it has none, as none of its stages trains"
        raise RecipeError(f"{key} cannot be changed while this run is at work; {hint}")


def with_changes(recipe: Recipe, changes: list[Request], step: int) -> Recipe:
    """``recipe`` as it held behind update ``step``, after those of ``changes`` that had been made by then."""
    for change in changes:
        if change["step"] <= step:
            recipe = recipe.with_values({change["key"]: asked_value(change)})
    return recipe


def present_recipe(reader: Reader, run: str) -> Recipe:
    """The recipe of ``run`` with every change that was made to it so far.

    Raises:
        UsageFault: this version cannot read it.
    """
    recipe = recipe_of(reader.run(run))
    changes = reader.changes(run)
    return with_changes(recipe, changes, max((change["step"] for change in changes), default=0))


def asked_value(request: Request) -> Any:
    """The value that a request to change a setting asks for.

    Raises:
        RecipeError: the row holds none.
    """
    try:
        return json.loads(request["value"])
    except (TypeError, ValueError):
        raise RecipeError(f"{request['key']} = {request['value']!r}: the store wants JSON") from None
