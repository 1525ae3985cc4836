"""A model's own forward pass over a few tokens, which all that is done to it here is held against.

Shapes: n tokens of a sequence, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from engine.model.opening.loading import ModelError
from engine.model.policy import Policy

TEXT = "def f(x):\n    return x + 1\n"
LENGTH = 9
SHARED = 4
"""Tokens with which the two sequences of a probe begin."""
LAST_LAYERS = 2
"""Gradients are compared in these: through all layers they take as long as all the rest, in bfloat16 ten times so."""

ResultT = TypeVar("ResultT")


def probe_sequences(policy: Policy) -> tuple[list[int], list[int]]:
    """Two short sequences that begin alike and go on apart."""
    ids = [*policy.bos, *policy.encode(TEXT)][:LENGTH]
    return ids, ids[:SHARED] + ids[:SHARED:-1]


def plain_hidden(policy: Policy, ids: list[int], scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Last hidden states [n, D] and logits [n, V] in the model's own forward pass: one sequence, nothing of ours.

    The hidden states are multiplied by ``scale`` before the head sees them.
    """
    seen: list[Tensor] = []

    def hook(_: Any, __: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state * scale
        seen.append(output.last_hidden_state[0])
        return output

    handle = policy.decoder().register_forward_hook(hook)
    try:
        logits: Tensor = policy.model(input_ids=torch.tensor([ids], device=policy.device)).logits[0]
    finally:
        handle.remove()
    return seen[-1], logits


def check_same(policy: Policy, what: str, ours: Tensor, theirs: Tensor) -> None:
    """Hold ``ours`` against ``theirs``, of equal shapes.

    Raises:
        ModelError: they differ by more than rounding.
    """
    exact = policy.model.dtype is torch.float32 and policy.device.type == "cpu"
    rounding = 2e-4 if exact else 5e-2  # ten times what SmolLM2 is off by in float32, three times in bfloat16
    ours, theirs = ours.float(), theirs.float()
    difference = float((ours - theirs).norm() / (theirs - theirs.mean()).norm())
    if not difference <= rounding:  # NaN too
        raise ModelError(
            f"{policy.name}: {type(policy.model).__name__} {what} (off by {difference:.1%} from its own "
            "forward pass), which is not supported; choose another model"
        )


def attempted(policy: Policy, what: str, work: Callable[[], ResultT]) -> ResultT:
    """The result of ``work``, which passes tokens through the model.

    Raises:
        ModelError: it failed.
    """
    try:
        return work()
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a model of another make fails in its own way
        why = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{policy.name}: {type(policy.model).__name__} {what} ({type(error).__name__}: {why}), "
            "which is not supported; choose another model"
        ) from error


@contextmanager
def noted(policy: Policy) -> Iterator[list[Tensor]]:
    """Inside, what goes into the last layers [B, L, D] are leaves that a gradient can be asked for; each is noted."""
    leaves: list[Tensor] = []

    def hook(_: Any, __: Any, output: Any) -> Any:
        first, *others = (output,) if isinstance(output, Tensor) else output
        leaves.append(first.detach().requires_grad_())
        return leaves[-1] if isinstance(output, Tensor) else (leaves[-1], *others)

    layers = [module for module in policy.model.modules() if isinstance(module, GradientCheckpointingLayer)]
    before = layers[-1 - LAST_LAYERS] if len(layers) > LAST_LAYERS else policy.model.get_input_embeddings()
    handle = before.register_forward_hook(hook)
    try:
        yield leaves
    finally:
        handle.remove()
