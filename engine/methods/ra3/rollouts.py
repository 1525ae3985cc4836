"""Rollouts of q, scored: the two model passes of an E-step, and the trees of its update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

from engine.corpora.traces import Trace
from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import Rollout, annotate
from engine.methods.ra3.branch_scoring import score_branches
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.scoring import bare_logprobs, score_group
from engine.model.encoding import EncodedTrace
from engine.model.policy import Policy
from engine.recipe.recipe import Recipe
from engine.runs.context import Context
from engine.training.memory import fewer_sequences


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


def _beside(reference: Policy, groups: Sequence[Group], settings: Recipe) -> list[Group]:
    """The same groups, their lines without latents as told by ``reference``."""
    bare = bare_logprobs(reference, [group.encoded for group in groups], settings)
    return [replace(group, bare_logprobs=told) for group, told in zip(groups, bare, strict=True)]


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

    def drawn(settings: Recipe) -> list[Rollout]:
        compute = settings.compute
        if mode == "branch":
            knobs["row_tokens"] = compute.row_tokens
            return annotate_branches(q, traces, seeds, batch_size=compute.decode_batch, **knobs)
        return annotate(q, traces, seeds, batch_size=compute.decode_batch, **knobs)

    return context.within_memory(drawn, fewer_sequences)
