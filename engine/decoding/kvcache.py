"""A key-value cache whose rows grow by different numbers of tokens, and the attention that reads it.

Decoding rows side by side wastes most of its work on padding when one row adds a token, the next a line, a third a
whole prompt. Here the new tokens of all rows are laid end to end as one packed sequence [1, T], and every matrix
product of the model sees just these T tokens. Only attention knows of rows: it writes each token's key and value to
its own row and column of a store [rows, heads, columns, width], and lets each token attend to its own row's earlier
columns. A row's columns are always 0..length-1: to forget tokens, or to give a row to another sequence, is to change
its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Cache

from engine.model.attending import attend
from engine.model.policy import Policy

ATTENTION = "ra3_ragged"
FIRST_COLUMNS = 256


@dataclass(frozen=True, slots=True)
class Span:
    """New tokens `begin:stop` of the packed sequence, for columns from `column` of row `row`.

    Spans of the same tokens must stand in rows that agree up to `column`: the tokens are computed for the first.
    """

    row: int
    begin: int
    stop: int
    column: int

    @property
    def end_column(self) -> int:
        """The row's length once these tokens are in it."""
        return self.column + self.stop - self.begin


class Layout:
    """Where T packed tokens go, for one forward pass over a cache of R rows."""

    def __init__(self, spans: Sequence[Span], n_rows: int, device: torch.device) -> None:
        self.columns_needed = max(span.end_column for span in spans)
        """L: how many columns of the store this pass reads."""
        at = [(i, span.row, span.column + i - span.begin) for span in spans for i in range(span.begin, span.stop)]
        self.tokens, self.rows, self.columns = torch.tensor(at, device=device).T
        """int64 [n] each: the packed tokens, again for each further span of them, and their places."""
        firsts: dict[int, Span] = {}
        for span in spans:
            firsts.setdefault(span.begin, span)
        own = list(firsts.values())
        self.positions = torch.tensor([i for span in own for i in range(span.column, span.end_column)], device=device)
        """int64 [T]: how many tokens stand before each packed one."""
        self.wide = [(span, _causal(span, device)) for span in own if span.stop - span.begin > 1]
        """Spans of several tokens, each with its mask [w, end_column]."""
        single = [span for span in own if span.stop - span.begin == 1]
        dense = 2 * len(single) > n_rows  # else gathering the few rows' keys is cheaper than reading all rows
        self.single_rows = None if dense else torch.tensor([span.row for span in single], device=device)
        """int64 [n] rows whose keys are gathered for the spans of one token; None to read all R rows in place."""
        self.single_tokens = torch.tensor([span.begin for span in single], dtype=torch.long, device=device)
        """int64 [n] packed indices of the spans of one token."""
        self.single_slots = torch.tensor(
            [span.row for span in single] if dense else range(len(single)), dtype=torch.long, device=device
        )
        """int64 [n] where these stand among the rows that are read."""
        lengths = torch.ones(n_rows if dense else len(single), dtype=torch.long, device=device)
        lengths[self.single_slots] = torch.tensor([span.end_column for span in single], dtype=torch.long, device=device)
        self.single_mask = (torch.arange(self.columns_needed, device=device) < lengths[:, None])[:, None, None]
        """bool [R or n, 1, 1, L]"""


def _causal(span: Span, device: torch.device) -> Tensor:
    """bool [w, end_column]: a token sees its row up to itself."""
    own = torch.arange(span.column, span.end_column, device=device)
    return torch.arange(span.end_column, device=device) <= own[:, None]


class RaggedCache(Cache):  # type: ignore[misc] # transformers is untyped
    """Keys and values of R rows of their own lengths, written in place; columns double when they run out."""

    def __init__(self, n_rows: int) -> None:
        super().__init__(layers=[])
        self.n_rows = n_rows
        self.layout: Layout | None = None
        """Set for the length of one forward pass."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Put packed keys and values [1, H, T, D] in their places; returns the first L columns, [R, H, L, D] each."""
        layout = self.layout
        if layout is None:
            raise RuntimeError("a ragged cache is read and written by `forward` alone")
        key_states = key_states.to(value_states.dtype)  # autocast leaves the rotated ones in float32
        if layer_idx == len(self._keys):
            self._keys.append(self._store(key_states, FIRST_COLUMNS))
            self._values.append(self._store(value_states, FIRST_COLUMNS))
        while self._keys[layer_idx].shape[2] < layout.columns_needed:
            self._keys[layer_idx] = _doubled(self._keys[layer_idx])
            self._values[layer_idx] = _doubled(self._values[layer_idx])
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        keys[layout.rows, :, layout.columns] = key_states[0].transpose(0, 1)[layout.tokens]
        values[layout.rows, :, layout.columns] = value_states[0].transpose(0, 1)[layout.tokens]
        return keys[:, :, : layout.columns_needed], values[:, :, : layout.columns_needed]

    def copy_columns(self, source: int, target: int, n_columns: int) -> None:
        """Let row `target` begin with the first `n_columns` of row `source`."""
        for store in (*self._keys, *self._values):
            store[target, :, :n_columns] = store[source, :, :n_columns]

    def _store(self, like: Tensor, columns: int) -> Tensor:
        # Zeros, not whatever memory holds: a masked NaN would still be NaN in the weighted sum of values.
        return like.new_zeros(self.n_rows, like.shape[1], columns, like.shape[3])


def _doubled(store: Tensor) -> Tensor:
    return torch.cat([store, torch.zeros_like(store)], dim=2)


def ragged_attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    *,
    layout: Layout,
    **_kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of packed queries [1, Hq, T, D] to rows of keys and values [R, Hkv, L, D]; returns [1, T, Hq, D].

    Query heads that share a key head are laid along the query axis, so that keys are never copied for them.
    """
    _, heads, tokens, width = query.shape
    groups = heads // key.shape[1]
    packed = query[0].to(value.dtype).transpose(0, 1).reshape(tokens, key.shape[1], groups, width)
    out = packed.new_empty(tokens, key.shape[1], groups, value.shape[-1])
    if len(layout.single_tokens):
        out[layout.single_tokens] = _attend_singles(packed, key, value, scaling, layout)
    for span, mask in layout.wide:
        own = packed[span.begin : span.stop].permute(1, 2, 0, 3).flatten(1, 2)[None]  # [1, Hkv, G*w, D]
        row = slice(span.row, span.row + 1)
        keys, values = key[row, :, : span.end_column], value[row, :, : span.end_column]
        seen = scaled_dot_product_attention(own, keys, values, attn_mask=mask.repeat(groups, 1), scale=scaling)
        out[span.begin : span.stop] = (
            seen[0].reshape(-1, groups, span.stop - span.begin, value.shape[-1]).permute(2, 0, 1, 3)
        )
    return out.reshape(1, tokens, heads, -1), None


def _attend_singles(packed: Tensor, key: Tensor, value: Tensor, scaling: float | None, layout: Layout) -> Tensor:
    """Attention of the rows that add one token, [n, Hkv, G, D], in one call."""
    if layout.single_rows is not None:
        key, value = key[layout.single_rows], value[layout.single_rows]
    query = packed.new_zeros(key.shape[0], *packed.shape[1:])
    query[layout.single_slots] = packed[layout.single_tokens]
    seen = scaled_dot_product_attention(query, key, value, attn_mask=layout.single_mask, scale=scaling)
    return seen[layout.single_slots]


AttentionInterface.register(ATTENTION, ragged_attention)


def forward(policy: Policy, cache: RaggedCache, spans: Sequence[Span], ids: Sequence[int]) -> Tensor:
    """Hidden states [T, D] of the packed tokens `ids`, which `spans` cover in order; the cache takes them in."""
    cache.layout = layout = Layout(spans, cache.n_rows, policy.device)
    try:
        return attend(policy, ATTENTION, ids, layout.positions, cache, layout=layout)
    finally:
        cache.layout = None
