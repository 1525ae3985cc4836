"""Log-probabilities under a policy that is not trained, in micro-batches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from engine.model.logprobs import logprobs
from engine.model.passes import predicting
from engine.model.policy import Policy
from engine.model.transfers import fetched
from engine.model.tries import Trie, collate, pack
from engine.recipe.sections import Compute

ResultT = TypeVar("ResultT")
Asking = Generator[Sequence[Trie], list[NDArray[np.float64]], ResultT]
"""Yields tries once, is given what `score` gives for them, and returns what it makes of that."""


def micro_batches(tries: Sequence[Trie], compute: Compute) -> list[list[list[int]]]:
    """What goes through the model one after the other: the rows of each micro-batch, each a row's tries by index."""
    rows = pack(list(map(len, tries)), compute.row_tokens)
    return [rows[i : i + compute.micro_rows] for i in range(0, len(rows), compute.micro_rows)]


@torch.no_grad()
def score(
    policy: Policy, tries: Sequence[Trie], compute: Compute, temperature: float = 1.0
) -> list[NDArray[np.float64]]:
    """[N] log-probabilities of each trie's targets under ``policy``, in nats, in the order of ``tries``.

    They are those of ``policy`` at ``temperature``.

    Those of all micro-batches come over from its device in one piece, when the last has gone through.
    """
    batches = micro_batches(tries, compute)
    with predicting(policy):
        collated = (collate([[tries[index] for index in row] for row in rows]) for rows in batches)
        parts = [logprobs(policy, replace(batch.to(policy.device), temperature=temperature)) for batch in collated]
    order = [index for rows in batches for row in rows for index in row]
    ends = np.cumsum([len(tries[index].targets) for index in order])
    scores = dict(zip(order, np.split(np.concatenate(fetched(parts)), ends[:-1]), strict=True)) if tries else {}
    return [scores[index] for index in range(len(tries))]


def score_together(policy: Policy, asking: Sequence[Asking[ResultT]], compute: Compute) -> list[ResultT]:
    """What each of ``asking`` returns; the tries of all are packed together, so that small ones fill a row."""
    asked = [next(one) for one in asking]
    scores = iter(score(policy, [trie for tries in asked for trie in tries], compute))
    return [_result(one, [next(scores) for _ in tries]) for one, tries in zip(asking, asked, strict=True)]


def _result(asking: Asking[ResultT], scores: list[NDArray[np.float64]]) -> ResultT:
    try:
        asking.send(scores)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    raise RuntimeError("tries may be asked for once")
