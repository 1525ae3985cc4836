"""Traces annotated for the M-step: drawn from q, and one annotation of each kept, or a few."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from engine.decoding.latents import Rollout
from engine.methods.imitation import corpus_batches
from engine.methods.ra3.lexicon import lexicon
from engine.methods.ra3.measures import measure, record
from engine.methods.ra3.posterior import effective_share, keep_lines, keep_trace, log_weights, ranked, resampler
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.rollouts import Actors, LatentSampling, roll_out
from engine.methods.ra3.scoring import ask_group
from engine.methods.ra3.states import Chosen
from engine.model.encoding import comment_text
from engine.recipe.sections import Compute
from engine.runs.stages.context import Context
from engine.training.scoring import score_together


def choose(context: Context, actors: Actors, round_: int) -> Chosen:
    """Annotate the M-step's traces, and record what was kept."""
    settings = context.recipe.ra3
    indices = list(dict.fromkeys(index for batch in mstep_batches(context, round_) for index in batch))
    context.display.phase("annotate", context.position, round_, title=f"annotate {round_ + 1}/{settings.rounds}")
    chosen: Chosen = []
    groups: list[Group] = []
    shares: list[float] = []
    resamples = settings.estep.method == "smc"
    keep = _resampled if resamples else _drawn
    count = settings.group_size if resamples or settings.mstep.select == "best" else settings.mstep.samples
    size = max(1, context.memory.compute.decode_batch // count) * context.ranks.size
    for i in range(0, len(indices), size):
        part = indices[i : i + size]
        kept = keep(context, actors, part, count, round_, shares)
        record(context.writer, kept, settings, partial(comment_text, context.policy), round_, "mstep")
        groups += kept
        chosen += [(i, rollout.comments) for i, group in zip(part, kept, strict=True) for rollout in group.rollouts]
        context.display.tell(i + len(part), len(indices), "traces")
    metrics = measure(groups, settings, "annotate") | lexicon(groups, context.policy.decode, "annotate")
    context.writer.metrics(metrics | ({"annotate/effective_share": float(np.mean(shares))} if shares else {}))
    return chosen


def mstep_batches(context: Context, round_: int) -> Iterator[list[int]]:
    """The traces of each update of a round's M-step, which goes on in the corpus where the round before it ended."""
    settings = context.recipe.ra3.mstep
    begin, end = round_ * settings.tokens, (round_ + 1) * settings.tokens
    return corpus_batches(context, settings, end, begin, settings.traces)


def _drawn(context: Context, actors: Actors, part: list[int], count: int, round_: int, _: list[float]) -> list[Group]:
    """``count`` draws of q a trace, those with the best bounds kept where the recipe says so.

    Always by trajectories, whatever the E-step's mode: what is imitated is a text whose latents see each other.
    """
    settings = context.recipe.ra3.mstep
    groups = _rolled_out(context, actors, part, LatentSampling(count, settings.explore, "trajectory"), round_)
    return [group.keep_best(settings.samples) if settings.select == "best" else group for group in groups]


def _resampled(
    context: Context, actors: Actors, part: list[int], count: int, round_: int, shares: list[float]
) -> list[Group]:
    """Of G latents a line, or G annotations a trace, some by their weight, or the best by reward; scored as a whole.

    The effective share of each resampling is added to ``shares``.
    """
    settings = context.recipe.ra3
    mode = settings.estep.mode
    groups = _rolled_out(context, actors, part, LatentSampling(count, settings.estep.explore, mode), round_)
    kept: list[tuple[Group, list[Rollout]]] = []
    for index, group in zip(part, groups, strict=True):
        worth = group.returns if mode == "branch" else group.rewards
        weights = log_weights(group, worth, settings)
        open_to = [t for t, gate in enumerate(group.encoded.gates) if gate is not None]
        competing = weights[:, open_to].T if mode == "branch" else [weights.sum(1)]
        shares += [effective_share(column) for column in competing]
        draws = settings.mstep.select == "sample"
        keep = keep_lines if mode == "branch" else keep_trace
        draw = resampler(np.random.default_rng(context.seeds("resample", round_, index)))
        picks = [draw if draws else ranked(place) for place in range(settings.mstep.samples)]
        kept.append((group, [keep(group, weights if draws else worth, pick) for pick in picks]))

    def scored(compute: Compute) -> list[Group]:
        judge = actors.scorer
        asking = [ask_group(judge, group.trace, group.encoded, own, settings, compute) for group, own in kept]
        return score_together(judge, asking, compute)

    return context.memory.run(scored)


def _rolled_out(
    context: Context, actors: Actors, part: list[int], sampling: LatentSampling, round_: int
) -> list[Group]:
    seed = partial(context.seeds, "annotate", round_)
    return roll_out(context.resources, context.recipe.ra3, actors, context.traces, part, sampling, seed)
