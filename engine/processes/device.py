"""The device a process computes on: the one its recipe asks for, or a reason why it cannot be had."""

from __future__ import annotations

import os
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from engine.errors import EnvironmentFault, UsageFault
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe


def check_device(wanted: str) -> None:
    """Ask for the device that ``compute.device`` names.

    Raises:
        EnvironmentFault: it is not there.
    """
    if wanted.startswith("cuda"):
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not gpus:
            raise EnvironmentFault(f"compute.device = {wanted!r}: torch sees no GPU here; set compute.device=cpu")
        if int(wanted.partition(":")[2] or 0) >= gpus:
            raise EnvironmentFault(f"compute.device = {wanted!r}: the last GPU here is cuda:{gpus - 1}")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentFault("compute.device = 'mps': torch sees no Apple GPU here; set compute.device=cpu")


def open_accelerator(recipe: Recipe, ranks: Ranks) -> Accelerator:
    """The accelerator a recipe asks for; each of several ranks on a machine takes a GPU of its own.

    Raises:
        EnvironmentFault: the device is not there, or cannot do the precision.
    """
    wanted = recipe.compute.device
    check_device(wanted)
    if wanted.startswith("cuda") and ranks.size == 1:
        torch.cuda.set_device(wanted if ":" in wanted else "cuda:0")
    if ranks.size > 1:
        _check_gpus(wanted)
    on_cpu = wanted == "cpu" or (ranks.size > 1 and not torch.cuda.is_available())
    AcceleratorState._reset_state()  # the arms of one launch may differ in precision
    accelerator = Accelerator(
        cpu=on_cpu, mixed_precision=precision(recipe, on_gpu=not on_cpu and torch.cuda.is_available())
    )
    if accelerator.device.type == "cuda":  # what autocast leaves in float32 is the head, which TF32 does well enough
        torch.set_float32_matmul_precision("high" if _takes_tf32(recipe) else "highest")
    return accelerator


def _takes_tf32(recipe: Recipe) -> bool:
    return recipe.compute.mixed_precision != "no"


def precision(recipe: Recipe, *, on_gpu: bool) -> Literal["no", "bf16"]:
    """What ``compute.mixed_precision`` comes to."""
    wanted = recipe.compute.mixed_precision
    if wanted != "auto":
        return wanted
    lower = on_gpu and recipe.model.dtype == "float32" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if lower else "no"


def resolved(recipe: Recipe, accelerator: Accelerator) -> Recipe:
    """``recipe`` with the precision that `open_accelerator` chose in the place of ``auto``."""
    compute = recipe.compute.model_copy(update={"mixed_precision": accelerator.mixed_precision})
    return recipe.model_copy(update={"compute": compute})


def precision_words(recipe: Recipe, accelerator: Accelerator) -> str:
    """In what precision a run computes: ``bfloat16 autocast, TF32 for what stays in float32``."""
    lower = accelerator.mixed_precision == "bf16"
    words = "bfloat16 autocast" if lower else f"everything in {recipe.model.dtype}"
    if accelerator.device.type != "cuda":
        return words
    if _takes_tf32(recipe):
        return f"{words}, TF32 for {'what stays in' if lower else 'products in'} float32"
    return f"{words}, no TF32"


def _check_gpus(wanted: str) -> None:
    """Refuse what several processes cannot share."""
    if ":" in wanted:
        raise UsageFault(f"compute.device = {wanted!r}: each process takes a GPU of its own; write compute.device=cuda")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if wanted != "cpu" and torch.cuda.is_available() and here > gpus:
        raise EnvironmentFault(f"{here} processes on a machine with {gpus} GPUs; set compute.processes={gpus}")


def device_words(accelerator: Accelerator, ranks: Ranks) -> str:
    """Where a run computes: ``cpu``, ``cuda:0``, ``2xcuda``."""
    return f"{ranks.size}x{accelerator.device.type}" if ranks.size > 1 else str(accelerator.device)
