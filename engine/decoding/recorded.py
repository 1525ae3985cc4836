"""The forward passes of a decoding: on a GPU recorded when their sizes come again, and replayed from then on.

A pass of few tokens is a thousand kernels of microseconds each, which Python launches more slowly than a GPU runs them.
A CUDA graph launches all of them at once, but computes what it was recorded with: the same sizes, from and to the same
memory. So passes are filled up to one of few shapes, and their numbers are copied to where the graph reads them.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from engine.decoding.kvcache import MOST_PAIRS, Layout, PassShape, RaggedCache, Span, forward, forward_laid_out
from engine.model.policy import Policy
from engine.model.transfers import Landing

WORTH_RECORDING = 3
"""A shape is recorded when it comes for this time: recording costs about two plain passes."""
FEWEST_TOKENS = 8
MOST_FILLED = 4
"""Times as many tokens as are asked for that a pass may be filled up to: rows that share some need a place each."""
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
        if not self._policy.cuda_graphs or not self._is_worth_recording(shape, len(ids)):
            return forward(self._policy, self.cache, spans, ids)
        self.cache.reserve(shape.columns)
        if self._columns != self.cache.n_columns:  # graphs write to where it was
            self._begin()
        layout = Layout(spans, ids, self.cache.n_rows, shape)
        if shape not in self._recorded:
            self._recorded[shape] = _Recorded(self._policy, self.cache, layout)
        if self._policy.on_pass:
            self._policy.on_pass(len(ids), layout.attended)
        return self._recorded[shape].replay(layout)

    def _is_worth_recording(self, shape: PassShape, tokens: int) -> bool:
        self._met[shape] += 1
        if self.cache.n_rows * shape.width * shape.columns > MOST_PAIRS:
            return False
        return self._met[shape] >= WORTH_RECORDING and shape.tokens <= max(FEWEST_TOKENS, MOST_FILLED * tokens)

    def _begin(self) -> None:
        """Without records."""
        self._recorded: dict[PassShape, _Recorded] = {}
        self._columns = self.cache.n_columns


class _Recorded:
    """One shape of pass."""

    def __init__(self, policy: Policy, cache: RaggedCache, layout: Layout) -> None:
        """Record ``layout``'s pass; a policy of which that fails has no CUDA graphs any more."""
        self._numbers = Landing(layout.numbers, policy.device)
        silent = replace(policy, on_pass=None)  # a record is made once, and what it is given is partly filling
        compute = partial(forward_laid_out, silent, cache, layout, self._numbers.columns)
        self._run: Callable[[], Tensor] = compute
        if policy.device.type != "cuda":
            return
        compute()  # what libraries make at their first call is made outside of the record
        try:
            self._run = _recorder(policy.device).record(compute)
        except RuntimeError as error:  # also of memory, which the pass itself has
            policy.cuda_graphs = False
            _OF_THREAD.recorders.pop(policy.device, None)
            why = str(error).partition("\n")[0]
            warnings.warn(f"{policy.name} is decoded without CUDA graphs: {why}", RuntimeWarning, stacklevel=2)

    def replay(self, layout: Layout) -> Tensor:
        """Hidden states [T, D] of the tokens of another layout of the shape."""
        self._numbers.send(layout.numbers)
        return self._run()


class _Recorder:
    """What all records of a thread have in common: memory, which one replay leaves to the next, and a stream.

    It stays when they are gone: torch would keep a new one's for good, and so do libraries theirs for each stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._first = self._graph_of(lambda: torch.zeros(1, device=device))  # memory without a graph is not lent again

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What computes the same again. Its result is overwritten by the next replay of any.

        Raises:
            RuntimeError: it waits for the GPU, or there is no memory for it.
        """
        results: list[Tensor] = []
        with _casts_not_kept():
            graph = self._graph_of(lambda: results.append(compute()))

        def replay() -> Tensor:
            graph.replay()
            return results[0]

        return replay

    def _graph_of(self, launch: Callable[[], object]) -> torch.cuda.CUDAGraph:
        """A graph of what ``launch`` has the GPU do; nothing is done.

        Other threads go on with theirs meanwhile. ``torch.cuda.graph`` would make them wait, and empty their cache.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                launch()
            except BaseException:
                with suppress(RuntimeError):  # that the record is broken
                    graph.capture_end()
                self._forget_broken()
                raise
            graph.capture_end()
        return graph

    def _forget_broken(self) -> None:
        """Let torch's allocator and generator take note that nothing is being recorded, as a broken end does not."""
        with suppress(RuntimeError, AttributeError):
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)
        generator = torch.cuda.default_generators[self._stream.device_index]
        generator.graphsafe_set_state(generator.clone_state())  # which waits for no record to end


class _OfThread(threading.local):
    """Two threads may replay side by side, and must not write to the same memory."""

    def __init__(self) -> None:
        self.recorders: dict[torch.device, _Recorder] = {}


_OF_THREAD = _OfThread()


def _recorder(device: torch.device) -> _Recorder:
    if device not in _OF_THREAD.recorders:
        _OF_THREAD.recorders[device] = _Recorder(device)
    return _OF_THREAD.recorders[device]


@contextmanager
def _casts_not_kept() -> Iterator[None]:
    """Inside, autocast keeps no copy of a weight: another thread that leaves autocast would free it under a graph."""
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(kept)


def pass_shape(spans: Sequence[Span]) -> PassShape:
    """The shape that a pass of these spans is filled up to."""
    tokens = max(FEWEST_TOKENS, sum(span.width for span in spans))  # shared ones are stored once a span
    columns = -(-max(span.end_column for span in spans) // COLUMNS_AT_ONCE) * COLUMNS_AT_ONCE
    return PassShape(_power_of_two(tokens), _power_of_two(max(span.width for span in spans)), columns)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
