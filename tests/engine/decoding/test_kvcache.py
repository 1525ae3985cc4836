"""Ragged attention against one token at a time, and how many calls it takes."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from engine.decoding import kvcache
from engine.decoding.kvcache import Layout, PassShape, RaggedCache, Span, ragged_attention
from engine.model.transfers import sent_together

CPU = torch.device("cpu")
HEADS, KV_HEADS, WIDTH = 4, 2, 8


def spans_of(widths: dict[int, int], seed: int = 0) -> list[Span]:
    """A span a row, of the widths given, behind columns of all lengths."""
    columns, begin, spans = random.Random(seed), 0, []
    for row, width in widths.items():
        spans.append(Span(row, begin, begin + width, columns.randrange(0, 40)))
        begin += width
    return spans


def laid_out(spans: list[Span], ids: list[int], n_rows: int, shape: PassShape | None = None) -> Layout:
    """A layout that is ready for a pass."""
    layout = Layout(spans, ids, n_rows, shape)
    layout.placed(sent_together(layout.numbers, CPU))
    return layout


def drawn(spans: list[Span], n_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of the packed tokens, and a store of keys and values, random in every column."""
    torch.manual_seed(0)
    tokens = max(span.stop for span in spans)
    store = [torch.randn(n_rows, KV_HEADS, 64, WIDTH) for _ in range(2)]
    return torch.randn(1, HEADS, tokens, WIDTH), store[0], store[1]


def one_by_one(spans: list[Span], query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """[1, T, Hq, D] by a softmax a token and head."""
    out = torch.zeros(1, query.shape[2], HEADS, WIDTH)
    for span in spans:
        for i in range(span.begin, span.stop):
            seen = span.column + i - span.begin + 1
            for head in range(HEADS):
                kv = head // (HEADS // KV_HEADS)
                scores = key[span.row, kv, :seen] @ query[0, head, i] * 0.3
                out[0, i, head] = scores.softmax(0) @ value[span.row, kv, :seen]
    return out


def attended(spans: list[Span], n_rows: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    layout = laid_out(spans, [0] * query.shape[2], n_rows)
    out, _ = ragged_attention(torch.nn.Module(), query, key, value, None, 0.3, layout=layout)
    return out


@pytest.mark.parametrize("at_once", [2**22, 64])
@pytest.mark.parametrize(
    ("widths", "n_rows"),
    [
        ({0: 1, 1: 1, 2: 1}, 3),
        ({3: 1, 1: 1}, 6),
        ({0: 3, 2: 3, 1: 4}, 3),
        ({5: 3, 2: 4}, 6),
        ({0: 17, 3: 1, 2: 20, 1: 2, 4: 1, 6: 9}, 7),
        ({1: 1}, 1 + 1),
    ],
)
def test_every_token_sees_its_own_row_up_to_itself(
    widths: dict[int, int], n_rows: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvcache, "MOST_PAIRS", at_once)
    spans = spans_of(widths)
    tensors = drawn(spans, n_rows)
    torch.testing.assert_close(attended(spans, n_rows, *tensors), one_by_one(spans, *tensors), atol=1e-5, rtol=1e-5)


def test_rows_that_feed_about_as_many_tokens_attend_in_one_call() -> None:
    widths = dict(enumerate([1, 1, 3, 4, 3, 5, 8, 7, 100, 70]))
    layout = laid_out(spans_of(widths), [0] * sum(widths.values()), len(widths))
    assert [call.width for call in layout.calls] == [1, 4, 8, 100]
    assert sum(len(call.tokens) for call in layout.calls) == sum(widths.values())


def test_a_call_holds_no_more_pairs_than_it_may_and_at_least_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvcache, "MOST_PAIRS", 4 * 40)
    spans = [Span(row, 4 * row, 4 * row + 4, 16) for row in range(5)]  # 80 pairs each
    layout = laid_out(spans, [0] * 20, 5)
    assert [len(call.tokens) for call in layout.calls] == [8, 8, 4]
    monkeypatch.setattr(kvcache, "MOST_PAIRS", 1)
    assert len(laid_out(spans, [0] * 20, 5).calls) == 5


def test_the_mask_is_made_once_for_all_layers_of_a_type() -> None:
    (call,) = laid_out([Span(0, 0, 2, 5)], [0, 0], 1).calls
    mask = call.mask(2, torch.float32)
    assert mask is call.mask(2, torch.float32)
    assert mask.shape == (1, 1, 4, 8)  # columns in eights
    assert (mask == 0).sum(-1).flatten().tolist() == [6, 6, 7, 7]
    assert call.mask(2, torch.bfloat16).dtype is torch.bfloat16


def test_spans_of_the_same_tokens_are_stored_in_each_row_and_computed_once() -> None:
    layout = laid_out([Span(0, 0, 2, 3), Span(2, 0, 2, 3), Span(1, 2, 3, 0)], [7, 8, 9], 3)
    assert layout.ids.tolist() == [7, 8, 9]
    assert layout.positions.tolist() == [3, 4, 0]
    assert layout.tokens.tolist() == [0, 1, 0, 1, 2]
    assert layout.rows.tolist() == [0, 0, 2, 2, 1]
    assert layout.columns.tolist() == [3, 4, 3, 4, 0]
    assert sum(len(call.tokens) for call in layout.calls) == 3


def test_a_cache_moves_only_when_it_has_too_few_columns() -> None:
    cache = RaggedCache(1)

    def stored() -> Tensor:
        cache.layout = laid_out([Span(0, 0, 1, 0)], [0], 1)
        return cache.update(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), 0)[0]

    before = stored()
    cache.reserve(kvcache.FIRST_COLUMNS)
    assert stored().data_ptr() == before.data_ptr()
    cache.reserve(2 * kvcache.FIRST_COLUMNS)
    assert stored().shape[2] == 2 * kvcache.FIRST_COLUMNS
    assert stored().sum() == before.sum() == 2


def test_a_cache_grows_before_a_column_is_wanted_that_it_has_not() -> None:
    cache = RaggedCache(1)
    cache.layout = laid_out([Span(0, 0, 1, kvcache.FIRST_COLUMNS)], [0], 1)
    cache.reserve(cache.layout.columns_needed)
    keys, _ = cache.update(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), 0)
    assert keys.shape[2] == 2 * kvcache.FIRST_COLUMNS
    assert keys[0, 0].sum(-1).nonzero().flatten().tolist() == [kvcache.FIRST_COLUMNS]
