"""Needing less memory leaves the numbers as they are."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from engine.errors import UsageFault
from engine.memory import enable_recomputing
from engine.policy import Policy
from engine.recipe import Compute, Optimiser
from engine.trainer import Trainer
from tests.engine.test_trainer import trees
from tests.engine.toy import toy_policy


def updated(compute: Compute) -> tuple[Policy, list[Tensor], int]:
    """A policy after one update, the gradient it took, and how often a layer was computed for it."""
    policy = toy_policy(seed=7, layers=2)
    policy.decoder().layers[0].self_attn.attention_dropout = 0.5
    gradients: list[Tensor] = []
    passes: list[int] = []
    for weight in policy.parameters:
        weight.register_post_accumulate_grad_hook(lambda weight: gradients.append(weight.grad.clone()))
    policy.decoder().layers[0].self_attn.register_forward_hook(lambda *_: passes.append(1))
    Trainer(policy, Optimiser(), compute, Accelerator(cpu=True)).update(trees())
    return policy, gradients, len(passes)


def test_checkpointing_computes_each_layer_twice_and_gives_the_same_gradient() -> None:
    _, plain, once = updated(Compute())
    policy, recomputed, twice = updated(Compute(gradient_checkpointing=True))
    assert (once, twice) == (1, 2)
    for ours, theirs in zip(recomputed, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert not any(module.training for module in policy.model.modules())


def test_a_clone_of_a_checkpointed_policy_recomputes_its_own_layers() -> None:
    policy, _, _ = updated(Compute(gradient_checkpointing=True))
    clone = policy.clone()
    passes: list[object] = []
    clone.decoder().layers[1].register_forward_hook(lambda module, *_: passes.append(module))
    Trainer(clone, Optimiser(), Compute(gradient_checkpointing=True), Accelerator(cpu=True)).update(trees())
    assert set(map(id, passes)) == {id(clone.decoder().layers[1])}


def test_a_model_that_cannot_be_checkpointed_is_told_in_one_line() -> None:
    class Plain(torch.nn.Module):
        def activation_checkpointing_enable(self, *_: object) -> None:
            raise ValueError

    with pytest.raises(UsageFault, match="gradient_checkpointing"):
        enable_recomputing(Plain())
