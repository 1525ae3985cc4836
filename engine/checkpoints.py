"""A run on disk: checkpoints that are written whole or not at all, and found again.

``checkpoints/000120-rlvr/`` is a Hugging Face model folder; ``stage.pt`` in it holds what its stage needs to go on, and
``place.json`` says where the run stood. A stage's last checkpoint is kept, one inside a stage only until the next.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from engine.errors import EnvironmentFault
from engine.policy import ADAPTER, Policy, load_policy
from engine.recipe import Recipe

if TYPE_CHECKING:
    from engine.lora import Adapter

_AUTOCAST = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stood when a checkpoint was written."""

    step: int
    """Updates taken."""
    position: int
    """Of the stage in its arm."""
    kind: str
    """The stage."""
    ended: bool
    """Had the stage ended?"""
    after: str
    """Training stages the model had been through by then, the present one included when it had ended."""
    costs: dict[str, Any]
    """What the present stage had used, as ``engine.stage.Costs``."""


def save(folder: Path, policy: Policy, place: Place, state: dict[str, Any] | None) -> Path:
    """Write a checkpoint; returns its folder. What it replaces is removed only once it is whole on disk.

    Raises:
        EnvironmentFault: the disk is full, or the folder cannot be written.
    """
    name = f"{place.step:06d}-{place.kind}" + ("" if place.ended else "-partial")
    target, unfinished = folder / name, folder / f".{name}.tmp"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        policy.save(unfinished)
        if state is not None:
            torch.save(state, unfinished / "stage.pt")
        (unfinished / "place.json").write_text(json.dumps(asdict(place)), encoding="utf-8")
        _flush(unfinished)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors word a full disk their own way
        shutil.rmtree(unfinished, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free / 1e6
        why = f"{str(getattr(error, 'strerror', None) or error).splitlines()[0]}; {free:.1f} MB are free"
        raise EnvironmentFault(
            f"{target}: cannot write the checkpoint ({why}); the last one before it is whole: "
            "free some space, then resume the run"
        ) from error
    for old in folder.glob("*-partial"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def newest(folder: Path) -> tuple[Path, Place] | None:
    """The checkpoint to go on from, or None."""
    found = []
    for path in folder.glob("[0-9]*/place.json"):
        found.append((path.parent, Place(**json.loads(path.read_text(encoding="utf-8")))))
    return max(found, key=lambda item: (item[1].position, item[1].ended, item[1].step), default=None)


def open_policy(recipe: Recipe, checkpoint: Path | None, device: str) -> Policy:
    """The policy a run begins with, or goes on with from ``checkpoint``.

    Raises:
        ModelError: the model cannot be had.
        EnvironmentFault: adapters are asked for, and peft is not installed.
    """
    whole = None if recipe.lora.rank else checkpoint  # adapters stay on the model they were made for
    policy = load_policy(
        str(whole or recipe.model.id),
        revision=None if whole else recipe.model.revision,
        dtype=recipe.model.dtype,
        device=device,
    )
    policy.autocast = _AUTOCAST[recipe.compute.mixed_precision]
    if recipe.lora.rank:
        policy.adapter = _adapter(policy, recipe, checkpoint)
    return policy


def _adapter(policy: Policy, recipe: Recipe, checkpoint: Path | None) -> Adapter:
    """A new adapter, or the one in ``checkpoint``."""
    try:
        from engine.lora import Adapter  # noqa: PLC0415 - peft is an extra
    except ModuleNotFoundError as error:
        raise EnvironmentFault("lora.rank is set, which needs peft: pip install 'ra3[lora]'") from error
    adapter = Adapter.on(policy.model, recipe.lora, recipe.seed)
    if checkpoint:
        adapter.restore(checkpoint / ADAPTER)
    return adapter


def load_state(checkpoint: Path) -> dict[str, Any] | None:
    """The stage's state in a checkpoint; None where its stage had ended."""
    path = checkpoint / "stage.pt"
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _flush(folder: Path) -> None:
    """Have the disk hold every file of ``folder`` before its name says it is whole."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
