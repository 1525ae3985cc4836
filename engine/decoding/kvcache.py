"""A key-value cache whose rows grow by different numbers of tokens, and the attention that reads it.

Decoding rows side by side wastes most of its work on padding when one row adds a token, the next a line, a third a
whole prompt. Here the new tokens of all rows are laid end to end as one packed sequence [1, T], and every matrix
product of the model sees just these T tokens. Only attention knows of rows: it writes each token's key and value to
its own row and column of a store [rows, heads, columns, width], and lets each token attend to its own row's earlier
columns. A row's columns are always 0..length-1: to forget tokens, or to give a row to another sequence, is to change
its length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, Cache

from engine.model.attending import attend
from engine.model.policy import Policy
from engine.model.transfers import sent_together

ATTENTION = "ra3_ragged"
FIRST_COLUMNS = 256
MOST_PAIRS = 2**22
"""Pairs of a query and a column in one call, query heads not counted: its mask has an entry each."""


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
    def width(self) -> int:
        """How many tokens."""
        return self.stop - self.begin

    @property
    def end_column(self) -> int:
        """The row's length once these tokens are in it."""
        return self.column + self.width


class PassShape(NamedTuple):
    """The sizes of a forward pass, where they are to be those of other passes too: what it lacks is filled up."""

    tokens: int
    """At least as many as are computed, and as are stored."""
    width: int
    """At least as many as any row adds."""
    columns: int
    """At least as many as any row comes to hold."""


class AttentionCall:
    """Spans of about the same width, whose tokens attend in one call.

    Shapes: n rows of the cache that are read, w new tokens a row, L columns, G query heads a key head.
    """

    def __init__(self, spans: Sequence[Span], n_rows: int, shape: PassShape | None = None) -> None:
        in_place = shape is not None or 2 * len(spans) > n_rows  # else gathering few rows' keys is cheaper than all
        self.columns = shape.columns if shape else _rounded_up(max(span.end_column for span in spans))
        """L."""
        self.width = shape.width if shape else max(span.width for span in spans)
        """w."""
        numbers = np.zeros((n_rows if in_place else len(spans), 3), dtype=np.int64)  # without a span: token 0
        at = [span.row for span in spans] if in_place else range(len(spans))
        numbers[at] = [(span.begin, span.column, span.width) for span in spans]
        begins, columns, widths = numbers.T[..., None]
        offsets = np.minimum(np.arange(self.width), np.maximum(widths - 1, 0))  # behind its last token, that one again
        queries, real = begins + offsets, np.arange(self.width) < widths
        rows = [] if in_place else [span.row for span in spans]
        tokens, places = queries[real], np.flatnonzero(real)
        if shape:  # tokens that fill up are answered by any query, and heeded by nobody
            tokens = np.concatenate([tokens, np.arange(len(tokens), shape.tokens)])
            places = _filled(places, shape.tokens, 0)
        self.numbers = (rows, queries, columns + 1 + offsets, tokens, places)
        """On the CPU, what `placed` is given on the device."""
        self._in_place = in_place

    def placed(self, rows: Tensor, queries: Tensor, seen: Tensor, tokens: Tensor, places: Tensor) -> None:
        """Take `numbers`, sent to the device; of others nothing is kept."""
        self._masks: dict[tuple[int, torch.dtype], Tensor] = {}
        self.rows = None if self._in_place else rows
        """int64 [n] rows whose keys are gathered; None to read all rows in place."""
        self.queries = queries
        """int64 [n * w] packed token of each query."""
        self.tokens, self.places = tokens, places
        """int64 [k] each: the packed tokens that are answered, and which of the n * w queries answer them."""
        self._seen = seen.view(-1, self.width)  # how many columns each query sees

    def mask(self, groups: int, dtype: torch.dtype) -> Tensor:
        """[n, 1, w * G, L], added to the scores: the same for every layer."""
        if (groups, dtype) not in self._masks:
            hidden = torch.arange(self.columns, device=self._seen.device) >= self._seen[..., None]
            mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
            self._masks[groups, dtype] = mask.repeat_interleave(groups, dim=1)[:, None]
        return self._masks[groups, dtype]


class Layout:
    """Where T packed tokens go, for one forward pass over a cache of R rows; with a shape, the last row is spare."""

    def __init__(self, spans: Sequence[Span], ids: Sequence[int], n_rows: int, shape: PassShape | None = None) -> None:
        firsts: dict[int, Span] = {}
        for span in spans:
            firsts.setdefault(span.begin, span)
        own = list(firsts.values())
        parts = [own] if shape else _of_about_one_width(own)
        self.calls = [AttentionCall(part, n_rows, shape) for part in parts]
        self.columns_needed = max(call.columns for call in self.calls)
        """How many columns the store must have."""
        at = [(i, span.row, span.column + i - span.begin) for span in spans for i in range(span.begin, span.stop)]
        positions = [i for span in own for i in range(span.column, span.end_column)]
        self._positions = positions
        tokens, rows, columns = np.array(at).T
        packed = [np.array(ids), np.array(positions), tokens, rows, columns]
        if shape:  # fill up with token 0; as the spare row's, the first one's key and value are stored again
            fillings = (0, 0, 0, n_rows - 1, 0)
            packed = [_filled(part, shape.tokens, by) for part, by in zip(packed, fillings, strict=True)]
        self.numbers = [*packed, *(numbers for call in self.calls for numbers in call.numbers)]
        """On the CPU, what `placed` is given on the device."""

    @property
    def attended(self) -> int:
        """How many columns its tokens see, summed over them."""
        return sum(self._positions) + len(self._positions)

    def placed(self, numbers: Sequence[Tensor]) -> None:
        """Take `numbers`, sent to the device."""
        self.ids, self.positions, self.tokens, self.rows, self.columns, *rest = numbers
        """int64 [T] twice: the packed tokens, and how many stand before each. Then int64 [n] each: the packed tokens by
        their index, again for each further span of them, and their places."""
        for i, call in enumerate(self.calls):
            call.placed(*rest[5 * i : 5 * i + 5])


def _filled(numbers: NDArray[Any], length: int, by: int) -> NDArray[Any]:
    return np.concatenate([numbers, np.full(length - len(numbers), by)])


def _rounded_up(columns: int) -> int:
    """To what the fused kernels of a GPU want of a mask; columns that no token holds are masked."""
    return -(-columns // 8) * 8


def _of_about_one_width(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Parts of ``spans`` that differ in width by less than a factor of two, so that padding costs no more than that."""
    by_width: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.end_column):
        by_width.setdefault((span.width - 1).bit_length(), []).append(span)
    for exponent, part in sorted(by_width.items()):
        at_once = max(1, MOST_PAIRS // (2**exponent * part[-1].end_column))
        yield from (part[i : i + at_once] for i in range(0, len(part), at_once))


class RaggedCache(Cache):  # type: ignore[misc] # transformers is untyped
    """Keys and values of R rows of their own lengths, written in place; columns double when they run out."""

    def __init__(self, n_rows: int) -> None:
        super().__init__(layers=[])
        self.n_rows = n_rows
        self.n_columns = FIRST_COLUMNS
        self.layout: Layout | None = None
        """Set for the length of one forward pass."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def reserve(self, columns: int) -> None:
        """Have at least so many columns: all moves to other memory where there were fewer."""
        if columns <= self.n_columns:
            return
        while self.n_columns < columns:
            self.n_columns *= 2
        for stores in (self._keys, self._values):
            for layer, store in enumerate(stores):
                stores[layer] = pad(store, (0, 0, 0, self.n_columns - store.shape[2]))

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Put packed keys and values [1, H, T, D] in their places; returns what is stored, [R, H, columns, D] each."""
        layout = self.layout
        if layout is None:
            raise RuntimeError("a ragged cache is read and written by `forward` alone")
        key_states = key_states.to(value_states.dtype)  # autocast leaves the rotated ones in float32
        if layer_idx == len(self._keys):
            self._keys.append(self._store(key_states))
            self._values.append(self._store(value_states))
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        keys[layout.rows, :, layout.columns] = key_states[0].transpose(0, 1)[layout.tokens]
        values[layout.rows, :, layout.columns] = value_states[0].transpose(0, 1)[layout.tokens]
        return keys, values

    def copy_columns(self, source: int, target: int, n_columns: int) -> None:
        """Let row `target` begin with the first `n_columns` of row `source`."""
        for store in (*self._keys, *self._values):
            store[target, :, :n_columns] = store[source, :, :n_columns]

    def _store(self, like: Tensor) -> Tensor:
        # Zeros, not whatever memory holds: a masked NaN would still be NaN in the weighted sum of values.
        return like.new_zeros(self.n_rows, like.shape[1], self.n_columns, like.shape[3])


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
    """Attention of packed queries [1, Hq, T, D] to rows of keys and values [R, Hkv, columns, D]; returns [1, T, Hq, D].

    One call for all rows that add about as many tokens. Query heads that share a key head are laid along the query
    axis, so that keys are never copied for them.
    """
    _, heads, tokens, width = query.shape
    groups = heads // key.shape[1]
    packed = query[0].to(value.dtype).transpose(0, 1).reshape(tokens, key.shape[1], groups, width)
    out = packed.new_empty(tokens, key.shape[1], groups, value.shape[-1])
    for call in layout.calls:
        out[call.tokens] = _attend(packed, key, value, scaling, call)
    return out.reshape(1, tokens, heads, -1), None


def _attend(packed: Tensor, key: Tensor, value: Tensor, scaling: float | None, call: AttentionCall) -> Tensor:
    """Attention [k, Hkv, G, D] of the tokens of one call, from packed queries [T, Hkv, G, D]."""
    key, value = key[:, :, : call.columns], value[:, :, : call.columns]
    if call.rows is not None:
        key, value = key.index_select(0, call.rows), value.index_select(0, call.rows)
    kv_heads, groups, width = packed.shape[1:]
    by_row = packed.index_select(0, call.queries).view(-1, call.width, kv_heads, groups, width)
    query = by_row.transpose(1, 2).flatten(2, 3)
    mask = call.mask(groups, value.dtype)
    seen = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    by_row = seen.view(len(seen), kv_heads, call.width, groups, -1).transpose(1, 2)
    return by_row.flatten(0, 1).index_select(0, call.places)


AttentionInterface.register(ATTENTION, ragged_attention)


def forward(policy: Policy, cache: RaggedCache, spans: Sequence[Span], ids: Sequence[int]) -> Tensor:
    """Hidden states [T, D] of the packed tokens `ids`, which `spans` cover in order; the cache takes them in."""
    layout = Layout(spans, ids, cache.n_rows)
    cache.reserve(layout.columns_needed)
    return forward_laid_out(policy, cache, layout, sent_together(layout.numbers, policy.device))


def forward_laid_out(policy: Policy, cache: RaggedCache, layout: Layout, numbers: Sequence[Tensor]) -> Tensor:
    """Hidden states [T, D] of a layout's tokens, given its numbers on the device; the cache has the columns."""
    layout.placed(numbers)
    cache.layout = layout
    try:
        return attend(policy, ATTENTION, layout.ids, layout.positions, cache, layout=layout)
    finally:
        cache.layout = None
