"""The key-value cache of branches that share one trunk, and the attention that reads it.

Branches grow by one token each at a time. All of them attend to one set of keys, the *trunk*, each to its own part of
it, and then to keys of their own. So the trunk's keys are read once for all branches, in one matrix product, where a
cache with a row a branch would hold and read a copy for each.

Shapes: R branches, S trunk nodes, n own columns, Hq query heads, Hkv key heads, g = Hq / Hkv, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache

from engine.model.attending import attend
from engine.model.policy import Policy

ATTENTION = "ra3_branches"


class BranchCache(Cache):  # type: ignore[misc] # transformers is untyped
    """Keys and values of R branches over a trunk; every branch has the same number of columns of its own."""

    def __init__(self, trunk: Cache, seen: Tensor, depths: Tensor) -> None:
        """Branches without a token yet.

        Args:
            trunk: the cache of one packed row of S nodes.
            seen: bool [R, S], the trunk nodes each branch attends to.
            depths: int64 [R], the position of each branch's first token.
        """
        super().__init__(layers=[])
        self.trunk: list[tuple[Tensor, Tensor]] = [(layer.keys[0], layer.values[0]) for layer in trunk.layers]
        """Keys and values [Hkv, S, D] of each layer."""
        self.own: list[tuple[Tensor, Tensor]] = [
            (keys.new_zeros(len(seen), keys.shape[0], 0, keys.shape[2]),) * 2 for keys, _ in self.trunk
        ]
        """Keys and values [R, Hkv, n, D] of each layer."""
        self.seen = seen
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
        rows = torch.tensor(branches, dtype=torch.long, device=self.seen.device)
        self.own = [(keys[rows], values[rows]) for keys, values in self.own]
        self.seen, self.positions = self.seen[rows], self.positions[rows]


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
    """Attention of one query a branch [1, Hq, R, D] to the trunk and to its own keys [R, Hkv, n, D].

    Returns [1, R, Hq, D]. One softmax runs over both parts.
    """
    _, heads, count, width = query.shape
    kv_heads, columns = key.shape[1:3]
    groups = heads // kv_heads
    trunk_keys, trunk_values = branches.trunk[int(module.layer_idx)]  # type: ignore[arg-type] # set by transformers
    scaled = query[0] * (width**-0.5 if scaling is None else scaling)
    by_head = scaled.reshape(kv_heads, groups * count, width)
    by_branch = scaled.reshape(kv_heads, groups, count, width).permute(2, 0, 1, 3)  # [R, Hkv, g, D]
    shared = (by_head @ trunk_keys.mT).reshape(kv_heads, groups, count, -1)
    shared = shared.masked_fill(~branches.seen, -torch.inf)
    own = (by_branch @ key.mT).permute(1, 2, 0, 3)
    weights = torch.cat([shared, own], dim=-1).softmax(-1, dtype=torch.float32).to(value.dtype)  # [Hkv, g, R, S + n]
    of_trunk, of_own = torch.split(weights, [trunk_keys.shape[1], columns], dim=-1)
    told = (of_trunk.reshape(kv_heads, groups * count, -1) @ trunk_values).reshape(kv_heads, groups, count, -1)
    told = told + (of_own.permute(2, 0, 1, 3) @ value).permute(1, 2, 0, 3)
    return told.permute(2, 0, 1, 3).reshape(1, count, heads, -1), None


AttentionInterface.register(ATTENTION, branch_attention)


def forward_branches(policy: Policy, cache: BranchCache, tokens: Sequence[int]) -> Tensor:
    """Hidden states [R, D] of one new token a branch; the cache takes them in."""
    hidden = attend(policy, ATTENTION, tokens, cache.positions, cache, branches=cache)
    cache.positions = cache.positions + 1
    return hidden
