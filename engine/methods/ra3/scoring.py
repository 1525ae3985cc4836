"""Rollouts scored: the log-likelihoods of lines and comments under a scorer, and the trees of q's update."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from engine.corpora.traces import Trace
from engine.decoding.latents import Rollout
from engine.methods.ra3.rewards import Floats, Group, charges, decision_targets, line_logprob, malformed, returns
from engine.model.encoding import EncodedTrace
from engine.model.events import Comments, LineEvents, grow, trunk
from engine.model.packing import Target, Tree
from engine.model.policy import Policy
from engine.recipe.sections import Compute, Ra3
from engine.training.scoring import score


def score_group(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Group:
    """Log-likelihoods of the lines, bare and under each rollout's latents, and the charges."""
    annotations: list[Comments] = [[None] * len(encoded.lines), *(rollout.comments for rollout in rollouts)]
    planted = plant(encoded, annotations, ra3.max_latent_tokens, compute.row_tokens)
    for tree, events in planted:
        tree.targets += [Target((piece,), "line") for event in events for piece in event.line]
        tree.targets += [Target((piece,), "comment") for event in events for piece in event.comment]
    trees = list({id(tree): tree for tree, _ in planted}.values())
    values = {id(tree): iter(row) for tree, row in zip(trees, score(scorer, trees, compute), strict=True)}
    lines, charged = [], []
    for (tree, events), rollout in zip(planted, [None, *rollouts], strict=True):
        row = values[id(tree)]
        lines.append([line_logprob([next(row) for _ in event.line], ra3.line_logp) for event in events])
        told = [[next(row) for _ in event.comment] for event in events]
        if rollout is not None:
            charged.append(charges(rollout, told, malformed(rollout, scorer.decode), ra3))
    line_logprobs, charges_GT = np.array(lines[1:]), np.array(charged)
    worth = returns(line_logprobs - charges_GT, ra3.gamma, ra3.horizon)
    return Group(trace, encoded, rollouts, line_logprobs, np.array(lines[0]), charges_GT, worth)


def plant(
    encoded: EncodedTrace, annotations: Sequence[Comments], max_latent_tokens: int, row_tokens: int
) -> list[tuple[Tree, list[LineEvents]]]:
    """Put annotations of one trace into as few trees as hold ``row_tokens`` each; common beginnings are shared."""
    planted = []
    tree = Tree()
    for comments in annotations:
        latent_tokens = sum(len(ids) for ids in comments if ids)
        most = len(encoded.prompt) + sum(map(len, encoded.lines)) + 2 * sum(len(g or ()) for g in encoded.gates)
        if tree.ids and len(tree.ids) + most + latent_tokens > row_tokens:
            tree = Tree()
        planted.append((tree, grow(tree, encoded, comments, max_latent_tokens)))
    return planted


def policy_gradient(group: Group, ra3: Ra3, compute: Compute, *, clipped: bool) -> list[Tree]:
    """The trees of one group's update of q."""
    comments = [rollout.comments for rollout in group.rollouts]
    planted = plant(group.encoded, comments, ra3.max_latent_tokens, compute.row_tokens)
    for (tree, events), rollout, advantages_T in zip(planted, group.rollouts, group.advantages, strict=True):
        tree.targets += decision_targets(events, rollout, advantages_T, clipped=clipped)
    return list({id(tree): tree for tree, _ in planted}.values())


def bare_logprobs(policy: Policy, traces: Sequence[EncodedTrace], ra3: Ra3, compute: Compute) -> list[Floats]:
    """[T] l_t of each trace, without latents."""
    trees, lengths = [], []
    for encoded in traces:
        tree = Tree()
        _, lines = trunk(tree, encoded)
        tree.targets = [Target((piece,), "line") for line in lines for piece in line]
        trees.append(tree)
        lengths.append(list(map(len, lines)))
    rows = map(iter, score(policy, trees, compute))
    how = ra3.line_logp
    return [
        np.array([line_logprob(list(islice(row, length)), how) for length in told])
        for row, told in zip(rows, lengths, strict=True)
    ]
