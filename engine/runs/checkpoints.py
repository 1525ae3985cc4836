"""A run on disk: checkpoints that are written whole or not at all, and found again.

``checkpoints/000120-rlvr/`` is a Hugging Face model folder; ``stage.pt`` in it holds what its stage needs to go on,
``place.json`` says where the run stood (``places``), and ``files.json`` what each file was when it was written.

A stage's last checkpoint stays, and so does one that a person asked for; of the others inside a stage the newest stays,
and as many before it as the recipe says, and the one that was best by a metric, where the recipe names one. What is
older is removed only after an update with a finite gradient: until then nobody knows that the weights are sound.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from engine.decoding.probe import check_decoding
from engine.errors import EnvironmentFault
from engine.model.policy import ADAPTER, Policy, load_policy
from engine.recipe.recipe import Recipe
from engine.runs.places import ASKED, PARTIAL, Place, saved, seal

if TYPE_CHECKING:
    from engine.model.lora import Adapter

StateDict = dict[str, Any]
"""What ``stage.pt`` holds: tensors and plain values, which a stage reads into a state of its own type."""

AUTOCAST = {"auto": None, "no": None, "bf16": torch.bfloat16}
"""By ``compute.mixed_precision``; an `auto` that `engine.processes.device` has not resolved is that of a CPU."""


def save(folder: Path, policy: Policy, place: Place, state: StateDict | None, *, asked: bool = False) -> Path:
    """Write a checkpoint; returns its folder. What it replaces is removed only once it is whole on disk.

    Args:
        folder: of the run's checkpoints.
        policy: whose weights are written.
        place: where the run stands.
        state: what the stage needs to go on; None where it has ended.
        asked: a person asked for it, so that it stays.

    Raises:
        EnvironmentFault: the disk is full, or the folder cannot be written.
    """
    name = f"{place.step:06d}-{place.kind}" + ("" if place.ended else ASKED if asked else PARTIAL)
    target, unfinished = folder / name, folder / f".{name}.tmp"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        policy.save(unfinished)
        if state is not None:
            torch.save(state, unfinished / "stage.pt")
        (unfinished / "place.json").write_text(json.dumps(asdict(place)), encoding="utf-8")
        seal(unfinished)
        _flush(unfinished)
        _replace(target, unfinished)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors word a full disk their own way
        shutil.rmtree(unfinished, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free / 1e6
        why = f"{str(getattr(error, 'strerror', None) or error).splitlines()[0]}; {free:.1f} MB are free"
        raise EnvironmentFault(
            f"{target}: cannot write the checkpoint ({why}); the last one before it is whole: "
            "free some space, then resume the run"
        ) from error
    return target


def _replace(target: Path, whole: Path) -> None:
    """Give ``whole`` the name ``target``; what had it is out of the way for no longer than two renames take."""
    before = target.with_name(f".{target.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    whole.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def prune(folder: Path, position: int, keep: int, worth: Callable[[int], float | None] | None = None) -> Path | None:
    """Remove checkpoints inside the stage at ``position``: all but the newest of the run, ``keep`` before it, the best.

    ``worth`` tells what a checkpoint at a step is worth, None where that is not known; of equals the earlier is best.
    Returns the best one, where it stays for that alone.
    """
    older = saved(folder)[:-1]
    spare = [path for path, place in older if place.position == position and path.name.endswith(PARTIAL)]
    removed = spare[: max(0, len(spare) - keep)]
    best = _best(folder, position, worth) if worth else None
    for path in removed:
        if path != best:
            shutil.rmtree(path, ignore_errors=True)
    return best if best in removed else None


def _best(folder: Path, position: int, worth: Callable[[int], float | None]) -> Path | None:
    """Of those of the stage; at its end two may be of one step, and then that of the end is."""
    own = [(path, place, worth(place.step)) for path, place in saved(folder) if place.position == position]
    known = [((value, -place.step, place.ended), path) for path, place, value in own if value is not None]
    return max(known)[1] if known else None


def discard_from(folder: Path, position: int, step: int) -> list[str]:
    """Remove the checkpoints inside the stage at ``position`` from ``step`` on; returns their names."""
    bad = [
        path
        for path, place in saved(folder)
        if (place.position, place.ended) == (position, False) and place.step >= step
    ]
    for path in bad:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in bad]


def open_policy(recipe: Recipe, checkpoint: Path | None, device: str) -> Policy:
    """The policy a run begins with, or goes on with from ``checkpoint``.

    Raises:
        ModelError: the model cannot be had, or its numbers would not be right.
        EnvironmentFault: adapters are asked for, and peft is not installed.
    """
    whole = None if recipe.lora.rank else checkpoint  # adapters stay on the model they were made for
    policy = load_policy(
        str(whole or recipe.model.id),
        revision=None if whole else recipe.model.revision,
        dtype=recipe.model.dtype,
        device=device,
    )
    check_decoding(policy)
    policy.autocast = AUTOCAST[recipe.compute.mixed_precision]
    policy.cuda_graphs = recipe.compute.cuda_graphs and policy.device.type == "cuda"
    if recipe.lora.rank:
        policy.adapter = new_adapter(policy.model, recipe)
        if checkpoint:
            policy.adapter.restore(checkpoint / ADAPTER)
    return policy


def new_adapter(model: Any, recipe: Recipe) -> Adapter:
    """The adapter of ``model`` that a recipe asks for, adding nothing yet.

    Raises:
        EnvironmentFault: peft is not installed.
        UsageFault: the recipe's target modules are not to be adapted.
    """
    try:
        from engine.model.lora import Adapter  # noqa: PLC0415 - peft is an extra
    except ModuleNotFoundError as error:
        raise EnvironmentFault("lora.rank is set, which needs peft: pip install 'ra3[lora]'") from error
    return Adapter.on(model, recipe.lora, recipe.seed)


def load_state(checkpoint: Path) -> StateDict:
    """The stage's state in a checkpoint inside it."""
    state: StateDict = torch.load(checkpoint / "stage.pt", map_location="cpu", weights_only=True)
    return state


def _flush(folder: Path) -> None:
    """Have the disk hold every file of ``folder`` before its name says it is whole."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
