"""The device a process computes on: the one its recipe asks for, or a reason why it cannot be had."""

from __future__ import annotations

import os

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
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=recipe.compute.mixed_precision)
    if accelerator.device.type == "cpu" and recipe.compute.mixed_precision == "fp16":
        raise EnvironmentFault("compute.mixed_precision = 'fp16' needs a GPU; set it to 'no' or 'bf16'")
    if accelerator.device.type == "cuda":  # what autocast leaves in float32 is the head, which TF32 does well enough
        lower = recipe.compute.mixed_precision != "no"
        torch.set_float32_matmul_precision("high" if lower else "highest")
    return accelerator


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
