"""Traces annotated for the M-step: drawn from q, and one annotation of each kept, or a few."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np

from engine.corpora.traces import Trace
from engine.decoding.latents import Comment, Rollout, note
from engine.methods.imitation import corpus_batches
from engine.methods.ra3.lexicon import lexicon
from engine.methods.ra3.measures import measure, record
from engine.methods.ra3.posterior import (
    effective_share,
    extend,
    keep_lines,
    keep_trace,
    log_weights,
    ranked,
    resampler,
)
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.rollouts import Actors, LatentSampling, roll_out
from engine.methods.ra3.scoring import ask_group
from engine.methods.ra3.states import Chosen
from engine.model.encoding import EncodedTrace, comment_text, rest_of
from engine.recipe.sections import Compute
from engine.runs.stages.context import Context
from engine.training.scoring import score_together

Kept = tuple[list[Group], list[float]]
"""A group a trace of what is imitated, and the effective share of each resampling."""


def choose(context: Context, actors: Actors, round_: int) -> Chosen:
    """Annotate the M-step's traces, and record what was kept."""
    settings = context.recipe.ra3
    indices = list(dict.fromkeys(index for batch in mstep_batches(context, round_) for index in batch))
    context.display.phase("annotate", context.position, round_, title=f"annotate {round_ + 1}/{settings.rounds}")
    chosen: Chosen = []
    groups: list[Group] = []
    shares: list[float] = []
    resamples = settings.estep.method == "smc"
    keep = _resampled_by_line if settings.estep.mode == "line" else _resampled
    keep = keep if resamples else _drawn
    count = settings.group_size if resamples or settings.mstep.select == "best" else settings.mstep.samples
    size = max(1, context.memory.compute.decode_batch // count) * context.ranks.size
    for i in range(0, len(indices), size):
        part = indices[i : i + size]
        kept, effective = keep(context, actors, part, count, round_)
        shares += effective
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


def _drawn(context: Context, actors: Actors, part: list[int], count: int, round_: int) -> Kept:
    """``count`` draws of q a trace, those with the best bounds kept where the recipe says so.

    Always by trajectories, whatever the E-step's mode: what is imitated is a text whose latents see each other.
    """
    settings = context.recipe.ra3.mstep
    best = settings.select == "best"
    sampling = LatentSampling(count, settings.explore, "trajectory", bare=best)
    groups = _rolled_out(context, actors, part, sampling, round_)
    return [group.keep_best(settings.samples) if best else group for group in groups], []


def _resampled(context: Context, actors: Actors, part: list[int], count: int, round_: int) -> Kept:
    """Of G latents a line, or G annotations a trace, some by their weight, or the best by reward; scored as a whole."""
    settings = context.recipe.ra3
    mode: Literal["trajectory", "branch"] = "branch" if settings.estep.mode == "branch" else "trajectory"
    draws = settings.mstep.select == "sample"
    sampling = LatentSampling(count, settings.estep.explore, mode, bare=not draws)
    groups = _rolled_out(context, actors, part, sampling, round_)
    kept: list[tuple[Group, list[Rollout]]] = []
    shares: list[float] = []
    for index, group in zip(part, groups, strict=True):
        worth = group.returns if mode == "branch" else group.rewards
        weights = log_weights(group, worth, settings)
        open_to = [t for t, gate in enumerate(group.encoded.gates) if gate is not None]
        competing = weights[:, open_to].T if mode == "branch" else [weights.sum(1)]
        shares += [effective_share(column) for column in competing]
        keep = keep_lines if mode == "branch" else keep_trace
        draw = resampler(np.random.default_rng(context.seeds("resample", round_, index)))
        picks = [draw if draws else ranked(place) for place in range(settings.mstep.samples)]
        kept.append((group, [keep(group, weights if draws else worth, pick) for pick in picks]))
    return _scored(context, actors, [(group.trace, group.encoded, own) for group, own in kept]), shares


def _resampled_by_line(context: Context, actors: Actors, part: list[int], count: int, round_: int) -> Kept:
    """Line by line: G latents are drawn behind those kept so far, and one of them is kept before the next line.

    All of a plan of several lines right at once is p to the power of the lines; so each has G tries of its own.
    """
    settings = context.recipe.ra3
    draws = settings.mstep.select == "sample"
    sampling = LatentSampling(count, settings.estep.explore, "trajectory", bare=not draws)
    chains = [(index, place) for index in part for place in range(settings.mstep.samples)]
    kept = [Rollout() for _ in chains]
    random = [np.random.default_rng(context.seeds("resample", round_, *chain)) for chain in chains]
    traces = [context.traces[index] for index, _ in chains]
    shares: list[float] = []
    for t in range(max(len(encoded.lines) for _, encoded in traces)):
        asked = [n for n, (_, encoded) in enumerate(traces) if t < len(encoded.lines)]
        for n in asked:
            if traces[n][1].gates[t] is None:
                note(kept[n], None, Comment())
        asked = [n for n in asked if traces[n][1].gates[t] is not None]
        rest = [(traces[n][0], rest_of(traces[n][1], kept[n].comments, settings.horizon)) for n in asked]

        def seed(number: int, g: int, t: int = t, asked: list[int] = asked) -> int:
            return context.seeds("annotate", round_, t, *chains[asked[number]], g)

        groups = roll_out(context.resources, settings, actors, rest, range(len(rest)), sampling, seed)
        for n, group in zip(asked, groups, strict=True):
            weights = log_weights(group, group.returns, settings)[:, 0]
            shares.append(effective_share(weights))
            worth = weights if draws else group.returns[:, 0]
            extend(kept[n], group.rollouts[(resampler(random[n]) if draws else ranked(0))(worth)], 0)
    samples = settings.mstep.samples
    own = [kept[i : i + samples] for i in range(0, len(kept), samples)]
    annotated = [(*context.traces[index], rows) for index, rows in zip(part, own, strict=True)]
    return _scored(context, actors, annotated), shares


def _scored(
    context: Context, actors: Actors, annotated: list[tuple[Trace, EncodedTrace, list[Rollout]]]
) -> list[Group]:
    """Annotations that were put together line by line, scored as a whole."""

    def scored(compute: Compute) -> list[Group]:
        judge = actors.scorer
        asking = [ask_group(judge, *row, context.recipe.ra3, compute) for row in annotated]
        return score_together(judge, asking, compute)

    return context.memory.run(scored)


def _rolled_out(
    context: Context, actors: Actors, part: list[int], sampling: LatentSampling, round_: int
) -> list[Group]:
    seed = partial(context.seeds, "annotate", round_)
    return roll_out(context.resources, context.recipe.ra3, actors, context.traces, part, sampling, seed)
