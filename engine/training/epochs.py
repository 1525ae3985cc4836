"""The steps of one update, a pass over what it drew each, and what they came to together."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.tries import Trie
from engine.training.objectives import Clip
from engine.training.trainer import Trainer, Update


def train_epochs(
    trainer: Trainer,
    tries: Sequence[Trie],
    clip: Clip,
    epochs: int,
    temperature: float = 1.0,
    *,
    kl: float = 0.0,
    stale: bool = False,
) -> list[Update]:
    """*Collective.* A step for each of ``epochs`` passes over ``tries``, drawn at ``temperature``.

    The first weighs by the truncated ratio of trainer to sampler, which is 1 but for rounding; the others, whose policy
    has moved, clip it. What is ``stale``, drawn by a policy of other weights, is clipped in the first pass too. ``kl``
    is the coefficient of the divergence from the reference.
    """
    bounds = [clip if stale else None, *[clip] * (epochs - 1)]
    return [trainer.update(tries, bound, temperature, kl) for bound in bounds]


def mean_loss(steps: Sequence[Update]) -> float:
    """The mean loss a target, over all steps."""
    return sum(step.loss for step in steps) / len(steps)


def measure_steps(steps: Sequence[Update]) -> dict[str, float]:
    """Metrics of one update, over all its steps: ``skipped`` counts those that left the weights alone."""
    return {
        "grad_norm": sum(step.grad_norm for step in steps) / len(steps),
        "learning_rate": steps[-1].learning_rate,
        "clip_fraction": sum(step.clip_fraction for step in steps) / len(steps),
        "skipped": float(sum(step.skipped for step in steps)),
    }
