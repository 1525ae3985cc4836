"""The layers of a model compiled by torch, for the passes that train.

Sampling and scoring go on as they are: their caches change shape with every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.nn import Module
from transformers.modeling_layers import GradientCheckpointingLayer

from engine.errors import EnvironmentFault, UsageFault


def compiled_layers(model: Any) -> dict[Module, Callable[..., Any]]:
    """What may stand in for the forwards of the model's layers: compiled when first used, for rows of any length.

    Raises:
        UsageFault: its architecture is not made of layers that could be.
    """
    layers = [module for module in model.get_decoder().modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise UsageFault(f"compute.compile: {type(model).__name__} has no layers to compile; set it to false")
    return {layer: torch.compile(layer.forward, dynamic=True) for layer in layers}


@contextmanager
def compile_errors_explained() -> Iterator[None]:
    """Around passes that may go through `compiled_layers`.

    Raises:
        EnvironmentFault: torch cannot compile on this machine, or not this model.
    """
    try:
        yield
    except TorchDynamoException as error:
        why = str(error).strip().splitlines()[0]
        raise EnvironmentFault(
            f"compute.compile: torch cannot compile the model here ({why}); "
            "a C++ compiler may be missing: install one, or set it to false"
        ) from error
