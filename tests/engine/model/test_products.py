"""Packed products are the usual ones, only while they are asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.model.passes import predicting
from engine.model.policy import Policy
from tests.engine.tiny import prompts, slow_logits, tiny_policy


@torch.no_grad()
def logits(policy: Policy) -> Tensor:
    ids = torch.tensor([prompts()[3]])
    width = ids.shape[1]
    mask = torch.ones(width, width, dtype=torch.bool).tril()[None, None]
    return policy.logits(policy.hidden(ids, torch.arange(width)[None], mask)[0])


def replaced(policy: Policy) -> int:
    return sum("forward" in module.__dict__ for module in policy.model.modules())


def test_the_logits_are_those_of_the_usual_products() -> None:
    policy = tiny_policy()
    with predicting(policy, packed=True):
        assert replaced(policy) > 0
        ours = logits(policy)
    torch.testing.assert_close(ours.double(), slow_logits(policy, prompts()[3]), rtol=1e-4, atol=1e-4)


def test_nothing_is_left_behind_also_after_an_error() -> None:
    policy = tiny_policy()
    before = logits(policy)
    with pytest.raises(RuntimeError, match="in the midst"), predicting(policy, packed=True):
        raise RuntimeError("in the midst")
    assert replaced(policy) == 0
    assert torch.equal(logits(policy), before)


def test_weights_that_have_changed_are_packed_anew() -> None:
    policy = tiny_policy().clone()
    with predicting(policy, packed=True):
        before = logits(policy)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.1)
    with predicting(policy, packed=True):
        after = logits(policy)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after.double(), slow_logits(policy, prompts()[3]), rtol=1e-4, atol=1e-4)


def test_the_head_of_a_model_in_bfloat16_is_multiplied_in_float32() -> None:
    policy = tiny_policy().clone()
    policy.model.to(torch.bfloat16)
    hidden = torch.randn(3, policy.model.config.hidden_size, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.no_grad():
        usual = policy.logits(hidden)
        with predicting(policy, packed=True):
            assert replaced(policy) == 1
            torch.testing.assert_close(policy.logits(hidden), usual, rtol=1e-5, atol=1e-5)
