"""Branches of one trace as trees: their scores, and the gradient that flows through the trunk from all of them.

Shapes: G rollouts of a trace, T lines. Branch (g, t) is the latent that rollout g drew before line t of the bare trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.corpora.traces import Trace
from engine.decoding.latents import Rollout
from engine.methods.ra3.rewards import Group, branch_return, charges, decision, line_logprob, malformed
from engine.model.encoding import EncodedTrace
from engine.model.events import Branch, branch, trunk
from engine.model.packing import Piece, Target, Tree
from engine.model.policy import Policy
from engine.recipe.sections import Compute, Ra3
from engine.training.scoring import score


@dataclass(slots=True)
class Trunk:
    """A bare trace in a tree of its own, with some of its branches."""

    tree: Tree
    before: list[int]
    """Node before each line."""
    lines: list[tuple[Piece, ...]]
    """Event of each bare line."""
    branches: dict[tuple[int, int], Branch] = field(default_factory=dict)
    """By (g, t)."""


def plant_branches(
    encoded: EncodedTrace, rollouts: Sequence[Rollout], max_latent_tokens: int, lines_ahead: int, row_tokens: int
) -> list[Trunk]:
    """Every branch with the ``lines_ahead`` lines behind it, on as few trunks as hold ``row_tokens`` nodes each."""
    trunks = [_bare(encoded)]
    for t, prefix in enumerate(encoded.gates):
        ahead = len(prefix or ()) + sum(map(len, encoded.lines[t : t + lines_ahead]))
        for g, rollout in enumerate(rollouts):
            comment = rollout.comments[t]
            most = ahead + len(comment) if comment is not None else len(prefix or ())
            if trunks[-1].branches and len(trunks[-1].tree.ids) + most > row_tokens:
                trunks.append(_bare(encoded))
            here = trunks[-1]
            here.branches[g, t] = branch(here.tree, encoded, t, here.before[t], comment, max_latent_tokens, lines_ahead)
    return trunks


def _bare(encoded: EncodedTrace) -> Trunk:
    tree = Tree()
    return Trunk(tree, *trunk(tree, encoded))


def score_branches(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Group:
    """Log-likelihoods of the lines, bare and behind each branch's latent alone, the charges and the returns."""
    reach = ra3.horizon or len(encoded.lines)
    trunks = plant_branches(encoded, rollouts, ra3.max_latent_tokens, reach, compute.row_tokens)
    bare, told, ahead = _score(scorer, trunks, ra3, compute)
    charges_GT = np.array(
        [
            charges(rollout, [told[g, t] for t in range(len(bare))], malformed(rollout, scorer.decode), ra3)
            for g, rollout in enumerate(rollouts)
        ]
    )
    line_logprobs, worth = np.empty_like(charges_GT), np.empty_like(charges_GT)
    for g, t in np.ndindex(*charges_GT.shape):
        lines = ahead[g, t] or bare[t : t + reach]
        line_logprobs[g, t] = lines[0]
        worth[g, t] = branch_return(lines, float(charges_GT[g, t]), ra3.gamma)
    return Group(trace, encoded, rollouts, line_logprobs, np.array(bare), charges_GT, worth)


ByBranch = dict[tuple[int, int], list[float]]


def _score(
    scorer: Policy, trunks: Sequence[Trunk], ra3: Ra3, compute: Compute
) -> tuple[list[float], ByBranch, ByBranch]:
    """l_t of the bare lines; of each branch the log-probabilities of its comment's events, and l of its lines."""
    trunks[0].tree.targets = _targets(trunks[0].lines)
    for here in trunks:
        for events in here.branches.values():
            here.tree.targets += _targets([events.comment, *events.lines])
    rows = [iter(row) for row in score(scorer, [here.tree for here in trunks], compute)]
    how = ra3.line_logp
    bare = [line_logprob(_take(rows[0], line), how) for line in trunks[0].lines]
    told: ByBranch = {}
    ahead: ByBranch = {}
    for here, row in zip(trunks, rows, strict=True):
        for key, events in here.branches.items():
            told[key] = _take(row, events.comment)
            ahead[key] = [line_logprob(_take(row, line), how) for line in events.lines]
    return bare, told, ahead


def _targets(events: Sequence[tuple[Piece, ...]]) -> list[Target]:
    return [Target((piece,), "scored") for event in events for piece in event]


def _take(row: Iterator[float], event: tuple[Piece, ...]) -> list[float]:
    return [next(row) for _ in event]


def branch_gradient(group: Group, ra3: Ra3, compute: Compute, *, clipped: bool) -> list[Tree]:
    """The trees of one group's update of q: the trunk is computed once, its gradient flows from all branches."""
    rollouts, advantages = group.rollouts, group.advantages
    trunks = plant_branches(group.encoded, rollouts, ra3.max_latent_tokens, 0, compute.row_tokens)
    for here in trunks:
        for (g, t), events in here.branches.items():
            here.tree.targets += decision(events, rollouts[g], t, float(advantages[g, t]), clipped=clipped)
    return [here.tree for here in trunks if here.tree.targets]
