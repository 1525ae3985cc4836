"""RLVR: GRPO with rewards from unit tests (DeepSeekMath, 2024), with the defaults of DeepCoder and DAPO (2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import numpy as np
from torch import Tensor

from engine.methods.ahead import Ahead
from engine.methods.batches import Batch, batch_of_run, draw_batch
from engine.methods.curriculum import Measured, PassRates, measured
from engine.methods.groups import equal_samples, measure, measure_by_difficulty, sample_tries
from engine.methods.sampling import record_problems
from engine.model.policy import Policy
from engine.model.tries import Trie
from engine.processes.ranks import Ranks
from engine.recipe.sections import Rlvr
from engine.runs.checkpoints import StateDict
from engine.runs.stages.context import Context
from engine.runs.stages.stage import Stage, TrainingState
from engine.suites.problem import Problem
from engine.training.epochs import mean_loss, train_epochs
from engine.training.memory import MemoryGuard
from engine.training.objectives import AGREEMENT, Clip
from engine.training.scoring import score
from engine.training.trainer import Trainer, Update

RATIOS: dict[str, Literal["token", "sequence", "weight"]] = {"grpo": "token", "gspo": "sequence", "cispo": "weight"}
"""Which ratio each objective clips."""


def referred(
    tries: Sequence[Trie], reference: Policy, memory: MemoryGuard, ranks: Ranks, temperature: float
) -> list[Trie]:
    """*Collective.* The same tries, each target with its log-probability under ``reference`` at ``temperature``."""
    mine = ranks.share(tries)
    scores = ranks.gather(memory.run(lambda compute: score(reference, mine, compute, temperature)))
    return [
        replace(trie, targets=replace(trie.targets, reference=own.astype(np.float32)))
        for trie, own in zip(tries, scores, strict=True)
    ]


def drifted(tries: Sequence[Trie], policy: Policy, memory: MemoryGuard, ranks: Ranks, temperature: float) -> bool:
    """*Collective.* Do ``policy`` and what drew the targets differ by more than the rounding of kernels?"""
    now = referred(tries, policy, memory, ranks, temperature)
    return any(np.abs(trie.targets.reference - trie.targets.old).max() >= AGREEMENT for trie in now)


@dataclass(frozen=True, slots=True)
class RlvrState:
    """Behind an update."""

    training: TrainingState
    start: dict[str, Tensor] | None
    """Weights of the policy that the stage began with, where it is pulled towards them."""
    rates: PassRates
    """What it has seen of the problems."""
    ahead: StateDict | None = None
    """The next update's `Batch`, where that was drawn already."""

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it."""
        rates = {task: tuple(known) for task, known in self.rates.items()}
        return {**self.training.state_dict(), "start": self.start, "rates": rates, "ahead": self.ahead}

    @classmethod
    def read(cls, written: StateDict) -> Self:
        """From its `state_dict`; one of an earlier release holds the training alone."""
        rates = {task: Measured(*known) for task, known in written.get("rates", {}).items()}
        return cls(TrainingState.read(written), written.get("start"), rates, written.get("ahead"))


def run(context: Context, state: RlvrState | None) -> None:
    """The stage ``rlvr``."""
    settings = context.recipe.rlvr
    suite = context.suites[settings.suite]
    record_problems(context.writer, suite)
    trainer = context.trainer(context.policy, settings.optimiser)
    start = _start(context, state)
    rates = state.rates if state else {}
    begin = state.training.restore(trainer) if state else 0
    known = state.ahead if state else None
    batch = Batch.read(known, suite.problems, settings, begin + 1) if known else None
    context.display.phase("rlvr", context.position, done=begin)
    with Ahead(context, suite.problems) as ahead:
        for number in range(begin + 1, settings.updates + 1):
            trainer.prepare(context.recipe.rlvr.optimiser, number - 1, settings.updates)
            batch = _batch(context, suite.problems, number, rates, batch)
            metrics = _measure(batch, rates, settings)
            rates = measured(rates, [(group.problem.task_id, group.passed) for group in batch.groups])
            goes_ahead = settings.ahead and settings.rollouts is None and number < settings.updates
            if goes_ahead:
                ahead.begin(number + 1, rates)
            steps = _improve(context, trainer, batch, start)
            batch = ahead.batch() if goes_ahead else None
            state_now = partial(_state, trainer, number, start, rates, batch)
            context.finish_update(steps, metrics | measure_moves(steps), state_now)
            context.display.tell(number, settings.updates, "updates", f"reward {metrics['rlvr/reward']:.3f}")


RLVR = Stage("rlvr", run, RlvrState.read)


def _state(trainer: Trainer, number: int, start: Policy | None, rates: PassRates, coming: Batch | None) -> RlvrState:
    """Behind update ``number``, with the batch of the one after where that was drawn already."""
    weights, ahead = start.state_dict() if start else None, coming.state_dict() if coming else None
    return RlvrState(TrainingState(trainer.state_dict(), number), weights, rates, ahead)


def _start(context: Context, state: RlvrState | None) -> Policy | None:
    """The policy that the stage began with, where the trained one is to stay near it."""
    if not context.recipe.rlvr.kl:
        return None
    start = context.policy.clone()
    if state is not None and state.start is not None:
        start.load_state_dict(state.start)
    return start


def _batch(context: Context, problems: Sequence[Problem], number: int, rates: PassRates, drawn: Batch | None) -> Batch:
    """*Collective.* What update ``number`` trains on, written down; ``drawn`` where that was drawn ahead."""
    run = context.recipe.rlvr.rollouts
    if drawn is None and run is None:
        return draw_batch(context, problems, number, rates)
    batch = drawn or batch_of_run(context, problems, number, run or "")
    batch.record(context.writer, context.position, context.step + 1)
    return batch


def _measure(batch: Batch, rates: PassRates, settings: Rlvr) -> dict[str, float]:
    """Metrics of what was drawn; where this run drew it, also of how many groups were replaced, and how long ago."""
    metrics = measure(batch.groups) | measure_by_difficulty(batch.groups, rates)
    if settings.rollouts is None:
        metrics["rlvr/resampled"] = float(len(batch.groups) - settings.problems_per_update)
        if settings.ahead:
            metrics["rlvr/staleness"] = float(batch.staleness or 0)
    return metrics


def _improve(context: Context, trainer: Trainer, batch: Batch, start: Policy | None = None) -> list[Update]:
    """Take one update's steps, a pass over its samples each; none where no group has anything to teach.

    The temperature at which they were drawn is that of the policy which is trained. ``start`` is what it is to stay
    near. Where other weights drew the samples, the first pass is clipped too.
    """
    settings, row_tokens = context.recipe.rlvr, context.memory.compute.row_tokens
    teaching = [group for group in batch.groups if group.teaches]
    if settings.objective == "gspo":
        teaching = equal_samples(teaching)
    tries = [trie for group in teaching for trie in sample_tries(context.policy, group, row_tokens)]
    temperature, stale = batch.temperature, bool(batch.staleness)
    if not tries:
        return []
    if start is not None:
        with context.ledger.clock("score"):
            tries = referred(tries, start, context.memory, context.ranks, temperature)
    if batch.staleness is None:
        with context.ledger.clock("score"):
            stale = drifted(tries, context.policy, context.memory, context.ranks, temperature)
    clip = Clip(settings.clip_low, settings.clip_high, RATIOS[settings.objective])
    with context.ledger.clock("train"):
        return train_epochs(trainer, tries, clip, settings.epochs, temperature, kl=settings.kl, stale=stale)


def measure_moves(steps: Sequence[Update]) -> dict[str, float]:
    """Metrics of how far the last of an update's steps found the policy from the sampler and from the stage's start."""
    if not steps:
        return {}
    last = steps[-1]
    moved = {"rlvr/loss": mean_loss(steps), "rlvr/ratio": last.ratio, "rlvr/kl_sampler": last.kl_sampler}
    return moved | ({} if math.isnan(last.kl_reference) else {"rlvr/kl_start": last.kl_reference})
