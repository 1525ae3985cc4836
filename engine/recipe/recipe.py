"""What to do: a recipe names a model, a corpus, suites and the arms to compare.

TOML in, TOML out. The recipe a run was started with is written, with every default filled in, into the run's folder,
so that the file alone says what was done. ``key=value`` overrides take dotted keys (``ra3.penalty=0.1``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from pydantic import Field, ValidationError, model_validator

from engine.recipe.keys import RecipeError, assign, check_value, explain
from engine.recipe.sections import (
    Checkpoints,
    Compute,
    Corpus,
    Eval,
    Lora,
    Model,
    Ntp,
    Ra3,
    Rlvr,
    SandboxSection,
    StageKind,
)
from engine.recipe.values import Section


class Arm(Section):
    """One line of stages to compare with the others."""

    stages: tuple[StageKind, ...] = Field(min_length=1)
    """What it does, in order."""
    set: dict[str, Any] = Field({})
    """Overrides that hold for this arm alone, by dotted key."""


class Recipe(Section):
    """A whole experiment."""

    name: str
    """Its name in listings."""
    description: str = ""
    """One line for a person."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Every draw of every stage follows from it; numpy takes 32 bits."""
    model: Model
    """The model all arms start from."""
    lora: Lora = Lora()
    """Low-rank adapters in place of training all weights."""
    compute: Compute = Compute()
    """Device, precision, batch shapes."""
    corpus: Corpus = Corpus()
    """Expert code."""
    sandbox: SandboxSection = SandboxSection()
    """Where candidates run."""
    checkpoints: Checkpoints = Checkpoints()
    """When the run is written down."""
    eval: Eval = Eval()
    """Measuring pass@k."""
    ntp: Ntp = Ntp()
    """The baseline's stage."""
    ra3: Ra3 = Ra3()
    """The EM stage."""
    rlvr: Rlvr = Rlvr()
    """The post-training stage."""
    arms: dict[str, Arm] = Field(min_length=1)
    """What is compared: a table an arm, run in this order."""

    @model_validator(mode="after")
    def _arm_overrides_are_known(self) -> Recipe:
        for name, arm in self.arms.items():
            for key, value in arm.set.items():
                check_value(Recipe, key, value, where=f"arms.{name}.set")
            self._check_together(name)
        return self

    @model_validator(mode="after")
    def _shards_fit(self) -> Recipe:
        if self.compute.shard and self.lora.rank:
            raise ValueError("compute.shard: adapters are too small to shard; set it to false, or lora.rank to 0")
        if self.compute.shard and self.compute.compile:
            raise ValueError("compute.shard: sharded layers are not compiled; set it or compute.compile to false")
        return self

    def _check_together(self, arm: str) -> None:
        """Each override may fit by itself, and not with the others."""
        if not self.arms[arm].set:
            return
        try:
            self.for_arm(arm)
        except ValidationError as error:
            raise ValueError("; ".join(f"arms.{arm}.set: {explain(Recipe, item)}" for item in error.errors())) from None

    def for_arm(self, arm: str) -> Recipe:
        """The recipe as ``arm`` runs it: its own overrides applied, no other arm left.

        Raises:
            RecipeError: it would train weights of half precision, or adapters on such as lose their gradients.
        """
        alone = self.model_copy(update={"arms": {arm: Arm(stages=self.arms[arm].stages)}})
        resolved = alone._assigned(self.arms[arm].set)
        if set(self.arms[arm].stages) != {"eval"}:
            _check_trainable(arm, resolved)
        return resolved

    def with_values(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with other values at some of its dotted keys.

        Raises:
            RecipeError: a value does not fit its key, or the others beside it.
        """
        for key, value in values.items():
            check_value(Recipe, key, value, where="override")
        try:
            return self._assigned(values)
        except ValidationError as error:
            raise RecipeError("; ".join(explain(Recipe, item) for item in error.errors())) from None

    def _assigned(self, values: Mapping[str, Any]) -> Recipe:
        table = self.model_dump(mode="python")
        for key, value in values.items():
            assign(table, key, value)
        return Recipe.model_validate(table)

    def draws_beside_training(self, device: str) -> bool:
        """Are the samples of RLVR that are drawn ahead drawn while the update before trains, on this type of device?

        On a CPU both would want the same cores; adapters share one model; and several processes agree at each draw.
        """
        draws = bool(self.rlvr.ahead) and self.rlvr.rollouts is None
        return draws and device == "cuda" and not self.lora.rank and self.compute.processes == 1

    def to_toml(self) -> str:
        """The whole recipe, defaults included; an absent optional value is left out, as TOML has no null."""
        return tomlkit.dumps(self.model_dump(mode="json", exclude_none=True))


def _check_trainable(arm: str, recipe: Recipe) -> None:
    """Refuse weights of a precision in which ``arm`` would learn nothing, or nonsense."""
    dtype = recipe.model.dtype
    if dtype == "float16":
        raise RecipeError(
            f"arm {arm}: gradients through weights in float16 vanish or overflow; set model.dtype = 'bfloat16' under "
            "adapters (lora.rank = 16), else 'float32'"
        )
    if dtype != "float32" and recipe.lora.rank is None:
        raise RecipeError(
            f"arm {arm}: weights in {dtype} cannot be trained, small steps are rounded away; keep "
            "model.dtype = 'float32' and set compute.mixed_precision = 'bf16', or train adapters: lora.rank = 16"
        )
