"""The next-token baseline: imitate the expert's lines, without latents or with comments that were written before."""

from __future__ import annotations

import math
from functools import partial

from engine.corpora.comments import find_comments
from engine.errors import UsageFault
from engine.methods.heldout import measure_held_out
from engine.methods.imitation import Budget, Material, corpus_batches, train
from engine.model.encoding import encode_comment
from engine.model.events import annotated_trie
from engine.model.tries import Trie
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage, TrainingState
from engine.store.writer import Spent


def run(context: Context, state: TrainingState | None) -> None:
    """The stage ``ntp``: maximum likelihood of the traces over a budget of tokens, seconds or operations."""
    context.display.phase("ntp", context.position, done=state.update if state else 0)
    if state is None:
        measure_held_out(context)
    settings, budget = context.recipe.ntp, _budget(context)
    tokens = settings.tokens if budget is None else math.inf
    material = Material(_tries(context), partial(corpus_batches, context, settings, tokens))
    train(context, material, lambda: context.recipe.ntp, "ntp", state, budget=budget)
    measure_held_out(context)


NTP = Stage("ntp", run, TrainingState.read)


def _budget(context: Context) -> Budget | None:
    """The budget in seconds or in operations, where that is what the recipe gives.

    Raises:
        UsageFault: it is that of an arm which has not trained.
    """
    settings = context.recipe.ntp
    if settings.flops_of is not None:
        flops = _spent_by(context, "flops_of", settings.flops_of).flops
        context.writer.metrics({"ntp/budget_flops": flops})
        return Budget(flops / 1e9, "gigaflop", lambda: context.ledger.settled().flops / 1e9)
    seconds = settings.seconds
    if settings.as_long_as is not None:
        seconds = _spent_by(context, "as_long_as", settings.as_long_as).seconds
    if seconds is None:
        return None
    context.writer.metrics({"ntp/budget_seconds": seconds})
    return Budget(seconds, "seconds", lambda: context.ranks.from_first(context.ledger.spent))


def _spent_by(context: Context, key: str, arm: str) -> Spent:
    """*Collective.* What ``arm``, which ``ntp.key`` names, took."""
    spent = context.ranks.from_first(lambda: context.writer.spent_by(arm))
    if spent is None:
        raise UsageFault(f"ntp.{key} = {arm!r}: no arm of that name has trained in this launch; put it before this one")
    return spent


def _tries(context: Context) -> list[Trie]:
    """What is imitated: each trace, with the comments that the recipe asks for."""
    seed = context.seeds.common("comments")
    comments = find_comments(context.recipe.ntp, [trace for trace, _ in context.traces], seed)
    rows = [comments.of(trace) for trace, _ in context.traces]
    if context.recipe.ntp.comments != "none":
        commented, total = sum(any(row) for row in rows), sum(text is not None for row in rows for text in row)
        note = f"{total} comments in {commented} of {len(rows)} traces; left out: {comments.account()}"
        context.writer.event("comments", note)
    policy = context.policy
    return [
        annotated_trie(encoded, [None if text is None else encode_comment(policy, text) for text in row])
        for (_, encoded), row in zip(context.traces, rows, strict=True)
    ]
