"""Where the tests of decoding and training compute: on a CPU, or where `RA3_TEST_DEVICE` says (`just gpu-check`)."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from transformers import PreTrainedModel

if not hasattr(PreTrainedModel, "activation_checkpointing_enable"):  # its name before transformers 5.23
    PreTrainedModel.activation_checkpointing_enable = PreTrainedModel.gradient_checkpointing_enable

DEVICE = torch.device(os.environ.get("RA3_TEST_DEVICE", "cpu"))


def accelerator(precision: str = "no") -> Accelerator:
    """One for `DEVICE`."""
    AcceleratorState._reset_state()
    return Accelerator(cpu=DEVICE.type == "cpu", mixed_precision=precision)


def row_of(ids: list[int]) -> Tensor:
    """int64 [1, W] on `DEVICE`."""
    return torch.tensor([ids], device=DEVICE)
