"""Layers that are computed again in the backward pass, so that a forward pass keeps less for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch.nn import Module
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from engine.errors import UsageFault


def enable_recomputing(model: Any) -> None:
    """Let ``model`` keep nothing of a layer for its backward pass but what went in, in passes that say so.

    Raises:
        UsageFault: its architecture cannot.
    """
    try:
        model.activation_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    except ValueError as error:
        raise UsageFault(_cannot(model)) from error
    if not recomputed_layers(model):
        raise UsageFault(_cannot(model))


def recomputed_layers(model: Any) -> list[Module]:
    """Those that `enable_recomputing` has prepared."""
    layers = (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
    return [layer for layer in layers if layer.gradient_checkpointing]


def recomputed_forwards(model: Any, forwards: Mapping[Module, Callable[..., Any]]) -> dict[Module, Callable[..., Any]]:
    """What stands in for the forwards of `recomputed_layers`, around those that ``forwards`` has for them.

    transformers recomputes a layer while that is in training mode, in which OPT and others drop out what goes through
    it, anew when it is recomputed: the gradient would not be that of the loss. So layers stay in evaluation mode here.
    """
    return {
        layer: partial(
            checkpoint,
            forwards.get(layer, partial(type(layer).forward, layer)),
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for layer in recomputed_layers(model)
    }


def _cannot(model: Any) -> str:
    return f"compute.gradient_checkpointing: {type(model).__name__} does not support it; set it to false"
