"""Which passes are recorded, in what shapes, and when anew. That they compute the same: `test_sampler`, `test_gpu`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from engine.decoding import kvcache, recorded
from engine.decoding.kvcache import FIRST_COLUMNS, PassShape, Span
from engine.decoding.recorded import COLUMNS_AT_ONCE, FEWEST_TOKENS, WORTH_RECORDING, Passes, pass_shape
from engine.decoding.sampler import generate
from engine.model.policy import Policy
from engine.runs.stages.costs import Meter
from tests.engine.tiny import prompts, tiny_policy

ROWS = 3


class Recorded:
    """Shapes as they are recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shapes: list[PassShape | None] = []
        usual = kvcache.Layout.__init__

        def laid_out(
            layout: kvcache.Layout,
            spans: Sequence[Span],
            ids: Sequence[int],
            n_rows: int,
            shape: PassShape | None = None,
        ) -> None:
            self.shapes.append(shape)
            usual(layout, spans, ids, n_rows, shape)

        monkeypatch.setattr(kvcache.Layout, "__init__", laid_out)


def recording() -> Policy:
    return replace(tiny_policy().clone(), cuda_graphs=True)


@torch.inference_mode()
def feed(passes: Passes, column: int, rows: int = ROWS, width: int = 1) -> None:
    """One pass in which rows of the same length grow."""
    spans = [Span(row, row * width, row * width + width, column) for row in range(rows)]
    hidden = passes.forward(spans, [5] * (rows * width))
    assert hidden[: rows * width].isfinite().all()


@pytest.mark.parametrize(
    ("spans", "shape"),
    [
        ([Span(0, 0, 1, 0)], PassShape(FEWEST_TOKENS, 1, COLUMNS_AT_ONCE)),
        ([Span(row, row, row + 1, 127) for row in range(8)], PassShape(8, 1, 128)),
        ([Span(row, row, row + 1, 128) for row in range(9)], PassShape(16, 1, 256)),
        ([Span(0, 0, 5, 0), Span(1, 5, 6, 300)], PassShape(8, 8, 384)),
        ([Span(row, 0, 4, 9) for row in range(5)], PassShape(32, 4, 128)),  # shared, and stored five times
    ],
)
def test_a_pass_is_filled_up_to_powers_of_two_and_to_many_columns(spans: list[Span], shape: PassShape) -> None:
    assert pass_shape(spans) == shape


def test_a_shape_is_recorded_when_it_has_come_often_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorded(monkeypatch)
    passes = Passes(recording(), ROWS)
    for column in range(WORTH_RECORDING + 2):
        feed(passes, column)
    feed(passes, WORTH_RECORDING + 2, width=4)
    assert seen.shapes == [*[None] * (WORTH_RECORDING - 1), *[PassShape(8, 1, 128)] * 3, None]


def test_nothing_is_recorded_of_a_policy_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorded(monkeypatch)
    passes = Passes(tiny_policy(), ROWS)
    for column in range(WORTH_RECORDING + 2):
        feed(passes, column)
    assert set(seen.shapes) == {None}
    assert passes.cache.n_rows == ROWS


def test_a_pass_of_too_many_pairs_is_never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorded(monkeypatch)
    monkeypatch.setattr(recorded, "MOST_PAIRS", (ROWS + 1) * 128)
    passes = Passes(recording(), ROWS)
    for column in range(WORTH_RECORDING):
        feed(passes, column)
    for column in range(WORTH_RECORDING, 3 * WORTH_RECORDING, 2):
        feed(passes, column, width=2)
    assert [shape for shape in seen.shapes if shape] == [PassShape(8, 1, 128)]


@torch.inference_mode()
@pytest.mark.parametrize(("rows", "filled_up"), [(2, True), (4, True), (5, False), (64, False)])
def test_tokens_that_many_rows_share_are_not_computed_for_each(
    rows: int, filled_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorded(monkeypatch)
    passes = Passes(recording(), rows)
    for column in range(0, 4 * WORTH_RECORDING, 4):
        passes.forward([Span(row, 0, 4, column) for row in range(rows)], [5, 6, 7, 8])
    assert (seen.shapes[-1] is not None) == filled_up


def test_the_last_row_is_filled_up_to_the_fewest_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorded(monkeypatch)
    passes = Passes(recording(), ROWS)
    for column in range(WORTH_RECORDING):
        feed(passes, column, rows=1)
    assert seen.shapes[-1] == PassShape(FEWEST_TOKENS, 1, COLUMNS_AT_ONCE)


def test_a_cache_that_has_moved_is_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    usual = recorded._Recorded.__init__

    def making(self: recorded._Recorded, policy: Policy, cache: kvcache.RaggedCache, *more: object) -> None:
        made.append(cache.n_columns)
        usual(self, policy, cache, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(recorded._Recorded, "__init__", making)
    passes = Passes(recording(), ROWS)
    for _ in range(2 * WORTH_RECORDING):
        feed(passes, 9)
    feed(passes, FIRST_COLUMNS)  # another shape, which moves it
    feed(passes, 9)
    assert made == [FIRST_COLUMNS, 2 * FIRST_COLUMNS]


@pytest.mark.parametrize("kept", [False, True])
def test_casts_are_not_kept_while_a_record_is_made_and_then_as_before(kept: bool) -> None:
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(kept)
    try:
        with pytest.raises(RuntimeError, match="broken"), recorded._casts_not_kept():
            raise RuntimeError("broken" if not torch.is_autocast_cache_enabled() else "kept")
        assert torch.is_autocast_cache_enabled() == kept
    finally:
        torch.set_autocast_cache_enabled(before)


@pytest.mark.parametrize("graphs", [False, True])
def test_operations_are_those_of_the_tokens_asked_for(graphs: bool) -> None:
    policy = replace(tiny_policy().clone(), cuda_graphs=graphs)
    meter, plain = Meter(policy), tiny_policy().clone()
    expected = Meter(plain)
    for one in (policy, plain):
        generate(one, prompts(), range(len(prompts())), max_new_tokens=20, temperature=0.0, batch_size=3)
    assert meter.take() == expected.take() > 0
