"""The forward passes of a decoding: on a GPU recorded when their sizes come again, and replayed from then on.

A pass of few tokens is a thousand kernels of microseconds each, which Python launches more slowly than a GPU runs them.
A CUDA graph launches all of them at once, but computes what it was recorded with: the same sizes, from and to the same
memory. So passes are filled up to one of few shapes, and their numbers are copied to where the graph reads them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.decoding.kvcache import MOST_PAIRS, Layout, PassShape, RaggedCache, Span, forward, forward_laid_out
from engine.model.policy import Policy
from engine.model.transfers import Landing

WORTH_RECORDING = 3
"""A shape is recorded when it comes for this time: recording costs about two plain passes."""
FEWEST_TOKENS = 8
COLUMNS_AT_ONCE = 128
"""What a shape's columns are a multiple of."""


class Passes:
    """The forward passes of one decoding and the cache they share; recorded where the policy has CUDA graphs.

    On other devices what would be replayed is computed anew, in the same shapes.
    """

    def __init__(self, policy: Policy, n_rows: int) -> None:
        self.cache = RaggedCache(n_rows + policy.cuda_graphs)
        """With a row to spare where passes are recorded."""
        self._policy = policy
        self._met = Counter[PassShape]()
        self._begin()

    def forward(self, spans: Sequence[Span], ids: Sequence[int]) -> Tensor:
        """Hidden states of the packed tokens ``ids``, which ``spans`` cover in order: [T, D], perhaps with more behind.

        They hold until the next pass.
        """
        shape = pass_shape(spans)
        self._met[shape] += 1
        pairs = self.cache.n_rows * shape.width * shape.columns
        if not self._policy.cuda_graphs or pairs > MOST_PAIRS or self._met[shape] < WORTH_RECORDING:
            return forward(self._policy, self.cache, spans, ids)
        self.cache.reserve(shape.columns)
        if self._columns != self.cache.n_columns:  # graphs write to where it was
            self._begin()
        layout = Layout(spans, ids, self.cache.n_rows, shape)
        if shape not in self._recorded:
            self._recorded[shape] = _Recorded(self._policy, self.cache, layout, self._pool)
        if self._policy.on_pass:
            self._policy.on_pass(len(ids), layout.attended)
        return self._recorded[shape].replay(layout)

    def _begin(self) -> None:
        """Without records; memory that graphs shared goes with the last of them."""
        self._recorded: dict[PassShape, _Recorded] = {}
        self._columns = self.cache.n_columns
        self._pool = torch.cuda.graph_pool_handle() if self._policy.device.type == "cuda" else None


class _Recorded:
    """One shape of pass."""

    def __init__(self, policy: Policy, cache: RaggedCache, layout: Layout, pool: Any) -> None:
        """Record ``layout``'s pass; whose cannot be recorded has no CUDA graphs any more."""
        self._numbers = Landing(layout.numbers, policy.device)
        silent = replace(policy, on_pass=None)  # a record is made once, and what it is given is partly filling
        self._compute = partial(forward_laid_out, silent, cache, layout, self._numbers.columns)
        self._graph: torch.cuda.CUDAGraph | None = None
        if policy.device.type != "cuda":
            return
        self._compute()  # what libraries make at their first call is made outside of the record
        try:
            self._graph, self._hidden = _record(self._compute, policy.device, pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            policy.cuda_graphs = False
            why = str(error).partition("\n")[0]
            warnings.warn(f"{policy.name} is decoded without CUDA graphs: {why}", RuntimeWarning, stacklevel=2)

    def replay(self, layout: Layout) -> Tensor:
        """Hidden states [T, D] of the tokens of another layout of the shape."""
        self._numbers.send(layout.numbers)
        if self._graph is None:
            return self._compute()
        self._graph.replay()
        return self._hidden


def _record(compute: Callable[[], Tensor], device: torch.device, pool: Any) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """A graph of what ``compute`` has the GPU do, and where it leaves its result; nothing is computed.

    Other threads go on with theirs meanwhile. ``torch.cuda.graph`` would make them wait, and empty their cache.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        graph.capture_begin(pool, capture_error_mode="thread_local")
        try:
            result = compute()
        except BaseException:
            with suppress(RuntimeError):  # that the record is broken
                graph.capture_end()
            generator = torch.cuda.default_generators[stream.device_index]
            generator.graphsafe_set_state(generator.clone_state())  # which waits for no record to end
            raise
        graph.capture_end()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph, result


def pass_shape(spans: Sequence[Span]) -> PassShape:
    """The shape that a pass of these spans is filled up to."""
    tokens = max(FEWEST_TOKENS, sum(span.width for span in spans))  # shared ones are stored once a span
    columns = -(-max(span.end_column for span in spans) // COLUMNS_AT_ONCE) * COLUMNS_AT_ONCE
    return PassShape(_power_of_two(tokens), _power_of_two(max(span.width for span in spans)), columns)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
