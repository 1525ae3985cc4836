"""Posterior sampling by reweighting: the E-step without a gradient.

G latents are drawn from a proposal b, the policy's own gate (with its temperature and exploration) and comments. Each
is weighed by prior times likelihood over proposal, p(z) exp(R / tau) / b(z), and one is kept: drawn by its weight, or
the best. The prior of a comment's words is the policy's, so only their temperature is corrected for; the prior of the
gate is the bound's, and is part of the reward's charge.

In ``branch`` mode a line's latents compete with each other, in ``trajectory`` mode whole annotations do; in ``line``
mode a line's latents do, drawn behind those that were kept for the lines before.
Shapes: G rollouts of a trace, T lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.decoding.latents import Rollout
from engine.methods.ra3.rewards import Floats, Group
from engine.recipe.sections import Ra3

Pick = Callable[[Floats], int]
"""Which of G, by their log-weights [G]."""


def ranked(place: int) -> Pick:
    """Takes the heaviest for place 0, the next one for place 1, and so on."""
    return lambda log_weights: int(np.argsort(-log_weights, kind="stable")[place])


def resampler(random: np.random.Generator) -> Pick:
    """Draws one by its weight."""

    def pick(log_weights: Floats) -> int:
        mass = normalised(log_weights).cumsum()
        return int(np.searchsorted(mass, random.random() * mass[-1], side="right"))

    return pick


def normalised(log_weights: Floats) -> Floats:
    """Weights that sum to one, [G]."""
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def effective_share(log_weights: Floats) -> float:
    """Effective sample size over G: 1 where all weigh the same, 1/G where one has all the weight."""
    return float(1 / (np.square(normalised(log_weights)).sum() * len(log_weights)))


def correction(rollout: Rollout, settings: Ra3) -> list[float]:
    """For each line what turns exp(reward) into a weight, in nats: log p/b of its gate, and log q/b of its comment.

    The prior p of a gate is that of the ``bernoulli`` bound; under ``penalty`` it is the charge, and even.
    """
    nats = []
    for t, gate in enumerate(rollout.gates):
        own = sum(rollout.comment_logprobs[t]) - sum(rollout.behaviour_logprobs[t])
        if gate is not None:
            own -= gate.behaviour_logprob
            if settings.bound == "bernoulli":
                own += math.log(1 - settings.alpha if gate.think else settings.alpha)
        nats.append(own)
    return nats


def log_weights(group: Group, worth_GT: Floats, settings: Ra3) -> Floats:
    """[G, T] log-weight of each decision; ``worth_GT`` is what it is rewarded with, in nats.

    The ``bernoulli`` bound charges every gate its KL, which is of all draws and not of this one: it is taken back, and
    the prior put in its place, which no temperature changes.
    """
    corrections = np.array([correction(rollout, settings) for rollout in group.rollouts])
    kls = group.gate_kls(settings.alpha) if settings.bound == "bernoulli" else 0.0
    return np.asarray((worth_GT + kls) / settings.estep.resample_temperature + corrections)


def keep_lines(group: Group, weights_GT: Floats, pick: Pick) -> Rollout:
    """The rollout made of the latent picked at each line."""
    kept = Rollout()
    for t in range(weights_GT.shape[1]):
        extend(kept, group.rollouts[pick(weights_GT[:, t])], t)
    return kept


def extend(kept: Rollout, chosen: Rollout, t: int) -> None:
    """Append to ``kept`` the latent that ``chosen`` has at line ``t``."""
    kept.gates.append(chosen.gates[t])
    kept.comments.append(chosen.comments[t])
    kept.comment_logprobs.append(chosen.comment_logprobs[t])
    kept.behaviour_logprobs.append(chosen.behaviour_logprobs[t])
    kept.ended.append(chosen.ended[t])


def keep_trace(group: Group, weights_GT: Floats, pick: Pick) -> Rollout:
    """The whole rollout that is picked."""
    return group.rollouts[pick(weights_GT.sum(1))]
