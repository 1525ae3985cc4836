"""Samples of the next update, drawn with the weights from before this one: beside its training, or just before it.

One step off the policy, as verl's trainer of that name, and AReaL's ``max_head_offpolicyness = 1`` (arXiv 2505.24298).
Which of the two it is changes no number: the weights, the seeds and what is known of the problems are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

import torch

from engine.methods.batches import Batch, draw_batch
from engine.methods.curriculum import PassRates
from engine.runs.stages.context import Context
from engine.suites.problem import Problem


class Ahead:
    """Draws batches ahead. To be entered for as long as a stage lasts, and asked for one batch at a time."""

    def __init__(self, context: Context, problems: Sequence[Problem]) -> None:
        self._context, self._problems = context, problems
        beside = context.ranks.size == 1 and context.recipe.draws_beside_training(context.policy.device.type)
        self._beside = _Thread(context) if beside else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beside:
            self._beside.end()

    def begin(self, number: int, rates: PassRates) -> None:
        """*Collective.* The batch of update ``number`` is drawn with the weights as they are now, one update early."""
        if self._beside:
            self._coming = self._beside.begin(self._problems, number, rates)
        else:
            self._coming = Future()
            self._coming.set_result(draw_batch(self._context, self._problems, number, rates, staleness=1))

    def batch(self) -> Batch:
        """What `begin` began, once it is drawn and judged. Raises what the drawing raised."""
        with self._context.ledger.clock("sample"):
            return self._coming.result()


class _Abandoned(Exception):
    """What is being drawn is wanted no more."""


class _Thread:
    """One thread with a copy of the policy, whose work a GPU takes in between that of the trainer.

    It attends to no requests: those are heeded behind the update, of which a checkpoint then holds what was drawn.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._policy = context.policy.clone()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._abandoned = threading.Event()

    def begin(self, problems: Sequence[Problem], number: int, rates: PassRates) -> Future[Batch]:
        """Draw a batch with the weights as they are now, whatever becomes of the policy meanwhile."""
        self._policy.load_state_dict(self._context.policy.state_dict())
        if self._policy.device.type == "cuda":
            torch.cuda.synchronize(self._policy.device)  # the copy is whole before another stream reads it
        return self._pool.submit(self._draw, problems, number, rates)

    def end(self) -> None:
        """Leave what is being drawn, if anything is."""
        self._abandoned.set()
        self._pool.shutdown()

    def _draw(self, problems: Sequence[Problem], number: int, rates: PassRates) -> Batch:
        resources = replace(self._context.resources, should_stop=self._abandoned.is_set, attend=self._leave)
        with own_stream(self._policy.device):
            policy = self._policy
            return draw_batch(self._context, problems, number, rates, policy=policy, resources=resources, staleness=1)

    def _leave(self) -> None:
        if self._abandoned.is_set():
            raise _Abandoned


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Inside, what this thread has a GPU do does not wait for the work of others; it is done when the block ends."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield
        stream.synchronize()
