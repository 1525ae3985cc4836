"""Rollouts of q, scored: the two model passes of an E-step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import Rollout, annotate
from engine.methods.ra3.branch_scoring import ask_branches
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.scoring import ask_group, bare_logprobs
from engine.model.encoding import EncodedTrace
from engine.model.policy import Policy
from engine.recipe.sections import Compute, Ra3
from engine.runs.corpus import TracePairs
from engine.runs.stages.context import Resources
from engine.training.memory import fewer_sequences
from engine.training.scoring import score_together


class Actors(NamedTuple):
    """Who draws the latents, and who judges them."""

    q: Policy
    scorer: Policy
    reference: Policy
    """Who tells the lines without latents: the scorer, or the running mean of a q that is its own scorer."""


@dataclass(frozen=True, slots=True)
class LatentSampling:
    """How latents are drawn."""

    rollouts: int
    """G, of each trace."""
    explore: float
    """How much of the gate they are drawn by is the prior ``ra3.estep.explore_prior``."""
    mode: Literal["trajectory", "branch"]
    """Does a latent see those before it, or the bare trace alone?"""
    bare: bool = False
    """Is the trace without latents in each group too, behind the others?"""


def roll_out(
    resources: Resources,
    settings: Ra3,
    actors: Actors,
    traces: TracePairs,
    indices: Sequence[int],
    sampling: LatentSampling,
    seed: Callable[[int, int], int],
) -> list[Group]:
    """*Collective.* Annotate those of ``traces`` at ``indices``, and score the annotations; a group a trace.

    Each rank does so for its share of the traces. ``seed`` follows from a trace's index and a rollout's number, so that
    the draws are the same on any rank.
    """
    mine = resources.ranks.share(indices)
    pairs = [traces[index] for index in mine]
    encoded = [encoded for _, encoded in pairs]
    seeds = [[seed(index, g) for g in range(sampling.rollouts)] for index in mine]
    with resources.ledger.clock("sample"):
        drawn = _draw(resources, settings, actors.q, encoded, seeds, sampling)
        if sampling.bare:
            drawn = _with_bare(resources, settings, actors.q, encoded, drawn, sampling)
    resources.attend()
    with resources.ledger.clock("score"):
        scored = _score(resources, settings, actors, pairs, drawn, sampling.mode)
    groups = resources.ranks.gather(scored)
    resources.ledger.costs.tokens_generated += sum(r.tokens_generated for group in groups for r in group.rollouts)
    return groups


def _with_bare(
    resources: Resources,
    settings: Ra3,
    q: Policy,
    traces: Sequence[EncodedTrace],
    drawn: Sequence[list[Rollout]],
    sampling: LatentSampling,
) -> list[list[Rollout]]:
    """Each group, and behind it the trace without latents where no draw of the group is that."""
    wanting = [n for n, group in enumerate(drawn) if all(any(c is not None for c in r.comments) for r in group)]
    if not wanting:
        return list(drawn)
    shut = replace(sampling, rollouts=1, explore=1.0)
    bare = _draw(resources, settings, q, [traces[n] for n in wanting], [[0]] * len(wanting), shut, prior=0.0)
    alone = dict(zip(wanting, bare, strict=True))
    return [[*group, *alone.get(n, ())] for n, group in enumerate(drawn)]


def _draw(
    resources: Resources,
    settings: Ra3,
    q: Policy,
    traces: Sequence[EncodedTrace],
    seeds: Sequence[Sequence[int]],
    sampling: LatentSampling,
    prior: float | None = None,
) -> list[list[Rollout]]:
    """``sampling.rollouts`` of each trace, by its ``seeds``; a ``prior`` of P(THINK) takes the recipe's place."""
    knobs: dict[str, Any] = {
        "max_latent_tokens": settings.max_latent_tokens,
        "explore": sampling.explore,
        "explore_prior": settings.estep.explore_prior if prior is None else prior,
        "gate_temperature": settings.estep.gate_temperature,
        "comment_temperature": settings.estep.temperature,
        "should_stop": resources.should_stop,
    }
    count = sampling.rollouts
    repeated = [encoded for encoded in traces for _ in range(count)]
    each = [own for group in seeds for own in group]

    def drawn(compute: Compute) -> list[Rollout]:
        size = compute.decode_batch
        if sampling.mode == "branch":
            return annotate_branches(q, repeated, each, batch_size=size, row_tokens=compute.row_tokens, **knobs)
        return annotate(q, repeated, each, batch_size=size, **knobs)

    rollouts = resources.memory.run(drawn, fewer_sequences)
    return [rollouts[i : i + count] for i in range(0, len(rollouts), count)]


def _score(
    resources: Resources,
    settings: Ra3,
    actors: Actors,
    pairs: TracePairs,
    drawn: Sequence[list[Rollout]],
    mode: Literal["trajectory", "branch"],
) -> list[Group]:
    ask = ask_branches if mode == "branch" else ask_group

    def scored(compute: Compute) -> list[Group]:
        asking = [
            ask(actors.scorer, trace, encoded, rollouts, settings, compute)
            for (trace, encoded), rollouts in zip(pairs, drawn, strict=True)
        ]
        return score_together(actors.scorer, asking, compute)

    groups = resources.memory.run(scored)
    if actors.reference is actors.scorer:
        return groups
    traces = [encoded for _, encoded in pairs]
    rows = resources.memory.run(partial(bare_logprobs, actors.reference, traces, settings))
    return [replace(group, bare_logprobs=row) for group, row in zip(groups, rows, strict=True)]
