"""Layers that are computed again in the backward pass, so that a forward pass keeps less for it."""

from __future__ import annotations

from typing import Any

from torch.nn import Module

from engine.errors import UsageFault


def enable_recomputing(model: Any) -> None:
    """Let ``model`` keep nothing of a layer for its backward pass but what went in, in passes that say so.

    Raises:
        UsageFault: its architecture cannot.
    """
    try:
        model.activation_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    except ValueError as error:
        raise UsageFault(
            f"compute.gradient_checkpointing: {type(model).__name__} does not support it; set it to false"
        ) from error


def recomputed_layers(model: Any) -> set[Module]:
    """Those that `enable_recomputing` has prepared; transformers recomputes one while it is in training mode."""
    return {module for module in model.modules() if getattr(module, "gradient_checkpointing", False)}
