"""Needing less memory: layers that are computed again, and batches that are halved when memory has run out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import UsageFault


def enable_recomputing(model: Any) -> None:
    """Let ``model`` keep nothing of a layer for its backward pass but what went in, wherever `recomputing` says so.

    Raises:
        UsageFault: its architecture cannot.
    """
    try:
        model.activation_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    except ValueError as error:
        raise UsageFault(
            f"compute.gradient_checkpointing: {type(model).__name__} does not support it; set it to false"
        ) from error


@contextmanager
def recomputing(model: Any) -> Iterator[None]:
    """Inside, forward and backward passes of a model with `enable_recomputing` make use of it.

    transformers recomputes a layer that is in training mode. The layers alone are, not what is in them: dropout stays
    off, as everywhere here.
    """
    layers = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
