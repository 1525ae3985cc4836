"""The key-value cache of branches that share keys, and the attention that reads it.

Branches get one token each at a time. All of them attend to one set of keys, the *shared* ones, each to its own part of
them, and then to keys of its own. So the shared keys are read once for all branches, in one matrix product, where a
cache with a row a branch would hold and read a copy for each.

Shapes: R branches, S shared keys, n own columns, Hq query heads, Hkv key heads, g = Hq / Hkv, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache

from engine.model.attending import attend
from engine.model.policy import Policy
from engine.model.transfers import sent_together

ATTENTION = "ra3_branches"


class BranchCache(Cache):  # type: ignore[misc] # transformers is untyped
    """Keys and values of R branches beside those they share; each has the same number of columns of its own."""

    def __init__(self, shared: Cache, visible: Tensor, depths: Tensor) -> None:
        """Branches without a token yet.

        Args:
            shared: the cache of one packed row of S nodes.
            visible: bool [R, S], the shared keys each branch attends to.
            depths: int64 [R], the position of each branch's first token.
        """
        super().__init__(layers=[])
        self.shared: list[tuple[Tensor, Tensor]] = [(layer.keys[0], layer.values[0]) for layer in shared.layers]
        """Keys and values [Hkv, S, D] of each layer."""
        self.own: list[tuple[Tensor, Tensor]] = [
            (keys.new_zeros(len(visible), keys.shape[0], 0, keys.shape[2]),) * 2 for keys, _ in self.shared
        ]
        """Keys and values [R, Hkv, n, D] of each layer."""
        self.visible = visible
        self.positions = depths

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add one column of keys and values [1, Hkv, R, D]; returns the branches' own, [R, Hkv, n, D] each."""
        keys, values = self.own[layer_idx]
        keys = torch.cat([keys, key_states[0].transpose(0, 1)[:, :, None]], dim=2)
        values = torch.cat([values, value_states[0].transpose(0, 1)[:, :, None]], dim=2)
        self.own[layer_idx] = keys, values
        return keys, values

    def keep(self, branches: Sequence[int]) -> None:
        """Go on with these branches alone, in this order."""
        (rows,) = sent_together([branches], self.visible.device)
        self.own = [(keys[rows], values[rows]) for keys, values in self.own]
        self.visible, self.positions = self.visible[rows], self.positions[rows]


def branch_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    *,
    branches: BranchCache,
    **_kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one query a branch [1, Hq, R, D] to the shared keys and to its own [R, Hkv, n, D].

    Returns [1, R, Hq, D]. One softmax runs over both parts.
    """
    _, heads, count, width = query.shape
    kv_heads, columns = key.shape[1:3]
    groups = heads // kv_heads
    shared_keys, shared_values = branches.shared[int(module.layer_idx)]  # type: ignore[arg-type] # set by transformers
    scaled = query[0] * (width**-0.5 if scaling is None else scaling)
    by_head = scaled.reshape(kv_heads, groups * count, width)
    by_branch = scaled.reshape(kv_heads, groups, count, width).permute(2, 0, 1, 3)  # [R, Hkv, g, D]
    of_shared = (by_head @ shared_keys.mT).reshape(kv_heads, groups, count, -1)
    of_shared = of_shared.masked_fill(~branches.visible, -torch.inf)
    of_own = (by_branch @ key.mT).permute(1, 2, 0, 3)
    weights = (
        torch.cat([of_shared, of_own], dim=-1).softmax(-1, dtype=torch.float32).to(value.dtype)
    )  # [Hkv, g, R, S + n]
    of_shared, of_own = torch.split(weights, [shared_keys.shape[1], columns], dim=-1)
    summed = (of_shared.reshape(kv_heads, groups * count, -1) @ shared_values).reshape(kv_heads, groups, count, -1)
    summed = summed + (of_own.permute(2, 0, 1, 3) @ value).permute(1, 2, 0, 3)
    return summed.permute(2, 0, 1, 3).reshape(1, count, heads, -1), None


AttentionInterface.register(ATTENTION, branch_attention)


def forward_branches(policy: Policy, cache: BranchCache, tokens: Sequence[int]) -> Tensor:
    """Hidden states [R, D] of one new token a branch; the cache takes them in."""
    (ids,) = sent_together([tokens], policy.device)
    hidden = attend(policy, ATTENTION, ids, cache.positions, cache, branches=cache)
    cache.positions = cache.positions + 1
    return hidden
