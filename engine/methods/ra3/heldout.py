"""What the policy makes, by latents of its own, of code it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from engine.methods.ra3.rewards import Floats, Group
from engine.methods.ra3.rollouts import Actors, LatentSampling, roll_out
from engine.recipe.sections import Ra3
from engine.runs.stages.context import Context


def measure_latents(context: Context, *done: object) -> None:
    """*Collective.* Record `perplexities` of held-out traces: the policy draws the latents, and judges the lines.

    The gate is as while annotating, ``ra3.mstep.explore`` of it held open. ``done`` tells the draws apart.
    """
    settings = context.recipe.ra3
    if not context.held_out or not settings.held_out_rollouts:
        return
    policy = context.policy.frozen()
    actors = Actors(policy, policy, policy)
    sampling = LatentSampling(settings.held_out_rollouts, settings.mstep.explore, "trajectory")
    seed = partial(context.seeds, "held out", *done)
    indices = range(len(context.held_out))
    with context.ledger.measuring():
        groups = roll_out(context.resources, settings, actors, context.held_out, indices, sampling, seed)
    context.writer.metrics(perplexities(groups, settings))


def perplexities(groups: Sequence[Group], settings: Ra3) -> dict[str, float]:
    """Perplexities a token of code, that a new line starts being given; comments are not counted as tokens.

    ``bare``: without latents. ``latents``: by the likelihood of the code whatever the latents, estimated by the mean
    over the rollouts of a trace of exp(sum of the lines' log-likelihoods); few rollouts tell it too high on average.
    ``mean``: by the mean of those sums, the bound without its charges. ``best``: by the best rollout of each trace,
    chosen in sight of the code.
    """
    tokens = sum(sum(map(len, group.encoded.lines)) for group in groups)
    totals = [_totals(group, group.line_logprobs, settings) for group in groups]
    nats = {
        "bare": [_totals(group, group.bare_logprobs, settings) for group in groups],
        "latents": [np.logaddexp.reduce(total_G) - np.log(len(total_G)) for total_G in totals],
        "mean": [total_G.mean() for total_G in totals],
        "best": [total_G.max() for total_G in totals],
    }
    metrics = {f"held_out/perplexity_{name}": float(np.exp(-np.sum(values) / tokens)) for name, values in nats.items()}
    return metrics | {"held_out/think_rate": float(np.mean(np.concatenate([group.think.ravel() for group in groups])))}


def _totals(group: Group, logprobs: Floats, settings: Ra3) -> Floats:
    """[...] nats of all lines, from l_t [..., T]."""
    lengths = np.array([len(line) for line in group.encoded.lines]) if settings.line_logp == "mean" else 1.0
    return np.asarray((logprobs * lengths).sum(-1))
