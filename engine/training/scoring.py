"""Log-probabilities under a policy that is not trained, in micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from engine.model.packing import Tree, collate, logprobs, pack
from engine.model.passes import predicting
from engine.model.policy import Policy
from engine.recipe.sections import Compute


def micro_batches(trees: Sequence[Tree], compute: Compute) -> list[list[list[Tree]]]:
    """What goes through the model one after the other: the rows of each micro-batch, the trees of each row."""
    rows = [[trees[index] for index in row] for row in pack([len(tree.ids) for tree in trees], compute.row_tokens)]
    return [rows[i : i + compute.micro_rows] for i in range(0, len(rows), compute.micro_rows)]


@torch.no_grad()
def score(policy: Policy, trees: Sequence[Tree], compute: Compute) -> list[list[float]]:
    """Log-probabilities of each tree's targets under ``policy``, in nats, in the order of ``trees``."""
    found: dict[int, list[float]] = {}
    with predicting(policy):
        for rows in micro_batches(trees, compute):
            values = iter(logprobs(policy, collate(rows).to(policy.device)).tolist())
            found |= {id(tree): list(islice(values, len(tree.targets))) for row in rows for tree in row}
    return [found[id(tree)] for tree in trees]
