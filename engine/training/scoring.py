"""Log-probabilities under a policy that is not trained, in micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.model.logprobs import logprobs
from engine.model.passes import predicting
from engine.model.policy import Policy
from engine.model.tries import Trie, collate, pack
from engine.recipe.sections import Compute


def micro_batches(tries: Sequence[Trie], compute: Compute) -> list[list[list[int]]]:
    """What goes through the model one after the other: the rows of each micro-batch, each a row's tries by index."""
    rows = pack(list(map(len, tries)), compute.row_tokens)
    return [rows[i : i + compute.micro_rows] for i in range(0, len(rows), compute.micro_rows)]


@torch.no_grad()
def score(policy: Policy, tries: Sequence[Trie], compute: Compute) -> list[NDArray[np.float64]]:
    """[N] log-probabilities of each trie's targets under ``policy``, in nats, in the order of ``tries``."""
    scores: dict[int, NDArray[np.float64]] = {}
    with predicting(policy):
        for rows in micro_batches(tries, compute):
            order = [index for row in rows for index in row]
            batch = collate([[tries[index] for index in row] for row in rows]).to(policy.device)
            values = logprobs(policy, batch).double().cpu().numpy()
            ends = np.cumsum([len(tries[index].targets) for index in order])
            scores |= zip(order, np.split(values, ends[:-1]), strict=True)
    return [scores[index] for index in range(len(tries))]
