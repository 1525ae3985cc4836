"""Rollouts of q, scored: the two model passes of an E-step, and the trees of its update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np

from engine import recipe
from engine.branches import annotate_branches
from engine.branchtrees import score_branches
from engine.forest import Comments, LineEvents, grow, trunk
from engine.memory import fewer_sequences
from engine.packing import Target, Tree
from engine.policy import Policy
from engine.ra3 import Floats, Group, charges, decision_targets, line_logprob, malformed, returns
from engine.sampler import EncodedTrace, Rollout, annotate
from engine.stage import Context
from engine.traces import Trace
from engine.trainer import score


class Actors(NamedTuple):
    """Who draws the latents, and who judges them."""

    q: Policy
    scorer: Policy
    reference: Policy
    """Who tells the lines without latents: the scorer, or the running mean of a q that is its own scorer."""


def roll_out(
    context: Context,
    actors: Actors,
    traces: Sequence[tuple[Trace, EncodedTrace]],
    indices: Sequence[int],
    group_size: int,
    explore: float,
    label: Sequence[object],
    mode: Literal["trajectory", "branch"],
) -> list[Group]:
    """*Collective.* Annotate those of ``traces`` at ``indices``, ``group_size`` times each, and score them.

    Each rank does so for its share of the traces. Seeds follow the trace, so that the draws are the same on any rank.
    """
    mine = context.ranks.share(indices)
    pairs = [traces[index] for index in mine]
    seeds = [context.seed(*label, index, g) for index in mine for g in range(group_size)]
    asked = [encoded for _, encoded in pairs for _ in range(group_size)]
    with context.clock("sample"):
        rollouts = _draw(context, actors.q, asked, seeds, explore, mode)
    context.attend()
    groups = [rollouts[i : i + group_size] for i in range(0, len(rollouts), group_size)]
    scored = score_branches if mode == "branch" else score_group
    with context.clock("score"):
        told = [
            context.within_memory(partial(scored, actors.scorer, trace, encoded, group))
            for (trace, encoded), group in zip(pairs, groups, strict=True)
        ]
        if actors.reference is not actors.scorer:
            told = _beside(actors.reference, told, context.recipe)
    everyone = context.ranks.gather(told)
    context.costs.tokens_generated += sum(r.tokens_generated for group in everyone for r in group.rollouts)
    return everyone


def _beside(reference: Policy, groups: Sequence[Group], settings: recipe.Recipe) -> list[Group]:
    """The same groups, their lines without latents as told by ``reference``."""
    bare = bare_logprobs(reference, [group.encoded for group in groups], settings)
    return [replace(group, bare_logprobs=told) for group, told in zip(groups, bare, strict=True)]


def bare_logprobs(policy: Policy, traces: Sequence[EncodedTrace], settings: recipe.Recipe) -> list[Floats]:
    """[T] l_t of each trace, without latents."""
    trees, lengths = [], []
    for encoded in traces:
        tree = Tree()
        _, lines = trunk(tree, encoded)
        tree.targets = [Target((piece,), "line") for line in lines for piece in line]
        trees.append(tree)
        lengths.append(list(map(len, lines)))
    rows = map(iter, score(policy, trees, settings.compute))
    how = settings.ra3.line_logp
    return [
        np.array([line_logprob(list(islice(row, length)), how) for length in told])
        for row, told in zip(rows, lengths, strict=True)
    ]


def _draw(
    context: Context,
    q: Policy,
    traces: Sequence[EncodedTrace],
    seeds: Sequence[int],
    explore: float,
    mode: Literal["trajectory", "branch"],
) -> list[Rollout]:
    ra3 = context.recipe.ra3
    knobs: dict[str, Any] = {
        "max_latent_tokens": ra3.max_latent_tokens,
        "explore": explore,
        "explore_prior": ra3.estep.explore_prior,
        "gate_temperature": ra3.estep.gate_temperature,
        "comment_temperature": ra3.estep.temperature,
        "should_stop": context.should_stop,
    }

    def drawn(settings: recipe.Recipe) -> list[Rollout]:
        compute = settings.compute
        if mode == "branch":
            knobs["trunk_tokens"] = compute.row_tokens
            return annotate_branches(q, traces, seeds, batch_size=compute.decode_batch, **knobs)
        return annotate(q, traces, seeds, batch_size=compute.decode_batch, **knobs)

    return context.within_memory(drawn, fewer_sequences)


def score_group(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], settings: recipe.Recipe
) -> Group:
    """Log-likelihoods of the lines, bare and under each rollout's latents, and the charges."""
    ra3 = settings.ra3
    annotations: list[Comments] = [[None] * len(encoded.lines), *(rollout.comments for rollout in rollouts)]
    planted = plant(encoded, annotations, ra3.max_latent_tokens, settings.compute.row_tokens)
    for tree, events in planted:
        tree.targets += [Target((piece,), "line") for event in events for piece in event.line]
        tree.targets += [Target((piece,), "comment") for event in events for piece in event.comment]
    trees = list({id(tree): tree for tree, _ in planted}.values())
    values = {id(tree): iter(row) for tree, row in zip(trees, score(scorer, trees, settings.compute), strict=True)}
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


def policy_gradient(group: Group, settings: recipe.Recipe, *, clipped: bool) -> list[Tree]:
    """The trees of one group's update of q."""
    ra3 = settings.ra3
    comments = [rollout.comments for rollout in group.rollouts]
    planted = plant(group.encoded, comments, ra3.max_latent_tokens, settings.compute.row_tokens)
    for (tree, events), rollout, advantages_T in zip(planted, group.rollouts, group.advantages, strict=True):
        tree.targets += decision_targets(events, rollout, advantages_T, clipped=clipped)
    return list({id(tree): tree for tree, _ in planted}.values())
