"""A forward pass over one packed row of tokens, by an attention function of ours in place of the model's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from engine.model.passes import attending
from engine.model.policy import Policy


def attend(policy: Policy, attention: str, ids: Tensor, positions: Tensor, cache: Cache, **known: Any) -> Tensor:
    """Last hidden states [T, D] of the tokens ``ids``, by one pass that waits for nothing.

    Args:
        policy: whose model.
        attention: name under which transformers knows the function.
        ids: int64 [T].
        positions: int64 [T], each token's place in its own sequence.
        cache: given the keys and values of each layer, answers what the function is to read.
        known: handed on to the function.
    """
    with attending(policy.model, attention):
        hidden = policy.last_hidden(
            cache,
            input_ids=ids[None],
            position_ids=positions[None],
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=policy.device),  # 4-D: passed on unread
            **known,
        )
    return hidden[0]
