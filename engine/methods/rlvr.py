"""RLVR: GRPO with rewards from unit tests (DeepSeekMath, 2024), with the defaults of DeepCoder and DAPO (2025)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import numpy as np
from torch import Tensor

from engine.errors import UsageFault
from engine.methods.curriculum import Measured, PassRates, measured, weight, weighted_order
from engine.methods.groups import SampleGroup, equal_samples, form_group, measure, measure_by_difficulty, sample_tries
from engine.methods.sampling import (
    Sampling,
    draw_and_judge,
    record_problems,
    record_samples,
    warn_of_broken_tests,
)
from engine.methods.stored import check_tokens, record_again, stored_groups
from engine.model.policy import Policy
from engine.model.tries import Trie
from engine.processes.ranks import Ranks
from engine.runs.checkpoints import StateDict
from engine.runs.stages.context import Context
from engine.runs.stages.seeds import shuffled
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

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it."""
        rates = {task: tuple(known) for task, known in self.rates.items()}
        return {**self.training.state_dict(), "start": self.start, "rates": rates}

    @classmethod
    def read(cls, written: StateDict) -> Self:
        """From its `state_dict`; one of an earlier release holds the training alone."""
        rates = {task: Measured(*known) for task, known in written.get("rates", {}).items()}
        return cls(TrainingState.read(written), written.get("start"), rates)


def run(context: Context, state: RlvrState | None) -> None:
    """The stage ``rlvr``."""
    settings = context.recipe.rlvr
    suite = context.suites[settings.suite]
    record_problems(context.writer, suite)
    trainer = context.trainer(context.policy, settings.optimiser)
    start = _start(context, state)
    rates = state.rates if state else {}
    begin = state.training.restore(trainer) if state else 0
    context.display.phase("rlvr", context.position, done=begin)
    for number in range(begin + 1, settings.updates + 1):
        trainer.prepare(context.recipe.rlvr.optimiser, number - 1, settings.updates)
        if settings.rollouts is None:
            groups = list(_draw_groups(context, suite.problems, number, rates))
            steps = _improve(context, trainer, groups, start)
        else:
            groups, temperature = _stored_groups(context, suite.problems, number, settings.rollouts)
            steps = _improve(context, trainer, groups, start, stored_at=temperature)
        metrics = measure(groups) | measure_moves(steps) | measure_by_difficulty(groups, rates)
        if settings.rollouts is None:
            metrics["rlvr/resampled"] = float(len(groups) - settings.problems_per_update)
        rates = measured(rates, [(group.problem.task_id, group.passed) for group in groups])

        def state_now(number: int = number, rates: PassRates = rates) -> RlvrState:
            weights = start.state_dict() if start else None
            return RlvrState(TrainingState(trainer.state_dict(), number), weights, rates)

        context.finish_update(steps, metrics, state_now)
        context.display.tell(number, settings.updates, "updates", f"reward {metrics['rlvr/reward']:.3f}")


RLVR = Stage("rlvr", run, RlvrState.read)


def _start(context: Context, state: RlvrState | None) -> Policy | None:
    """The policy that the stage began with, where the trained one is to stay near it."""
    if not context.recipe.rlvr.kl:
        return None
    start = context.policy.clone()
    if state is not None and state.start is not None:
        start.load_state_dict(state.start)
    return start


def _order(context: Context, problems: Sequence[Problem], number: int, rates: PassRates) -> Iterator[int]:
    """The problems that update ``number`` may draw, by index, without end."""
    seed = context.seeds("problems", number)
    if context.recipe.rlvr.curriculum == "uniform":
        return shuffled(len(problems), seed)
    return weighted_order([weight(rates.get(problem.task_id)) for problem in problems], seed)


def _draw_groups(context: Context, problems: Sequence[Problem], number: int, rates: PassRates) -> Iterator[SampleGroup]:
    """All groups drawn for update ``number``: one whose rewards are all equal is followed by another problem's.

    That is done ``max_resamples`` times at most. What did not teach is drawn all the same, and counts in the records.
    """
    settings = context.recipe.rlvr
    sampling = Sampling(settings.group_size, settings.max_new_tokens, settings.temperature)
    order = _order(context, problems, number, rates)
    wanted = settings.problems_per_update
    for attempt in range(settings.max_resamples + 1):
        chosen = [problems[next(order)] for _ in range(min(wanted, len(problems)))]
        seed = partial(context.seeds, "rlvr", number, attempt)
        resources, sandbox, tell = context.resources, context.sandbox, context.display.tell
        count = settings.gives_partial_credit(number)
        for samples in draw_and_judge(resources, sandbox, context.policy, chosen, sampling, seed, tell, count=count):
            warn_of_broken_tests(context.display, samples)
            group = form_group(samples, settings, number)
            told = group.rewards.tolist(), group.advantages.tolist(), settings.temperature
            record_samples(context.writer, context.position, samples, "rlvr", context.step + 1, *told)
            wanted -= group.teaches
            yield group
        if wanted <= 0:
            return


def _stored_groups(
    context: Context, problems: Sequence[Problem], number: int, run: str
) -> tuple[list[SampleGroup], float]:
    """*Collective.* The groups that ``run`` drew for its update ``number``, and the temperature it drew them at.

    Raises:
        UsageFault: they are gone, or of another tokenizer.
    """
    rows = context.ranks.from_first(lambda: context.writer.rollouts(run, number))
    if not rows:
        raise UsageFault(f"rlvr.rollouts = {run!r}: the samples of its update {number} are gone; is it being resumed?")
    found = []
    for stored in stored_groups(rows, {problem.task_id: problem for problem in problems}):
        check_tokens(context.policy, stored, run)
        group = form_group(stored.samples, context.recipe.rlvr, number)
        told = group.rewards.tolist(), group.advantages.tolist()
        record_again(context.writer, context.position, context.step + 1, stored, *told)
        found.append(group)
    return found, rows[0]["temperature"]


def _improve(
    context: Context,
    trainer: Trainer,
    groups: Sequence[SampleGroup],
    start: Policy | None = None,
    *,
    stored_at: float | None = None,
) -> list[Update]:
    """Take one update's steps, a pass over its samples each; none where no group has anything to teach.

    The temperature at which they were drawn is that of the policy which is trained. ``start`` is what it is to stay
    near. Samples of another run were drawn at ``stored_at``; where by other weights, the first pass is clipped too.
    """
    settings, row_tokens = context.recipe.rlvr, context.memory.compute.row_tokens
    teaching = [group for group in groups if group.teaches]
    if settings.objective == "gspo":
        teaching = equal_samples(teaching)
    tries = [trie for group in teaching for trie in sample_tries(context.policy, group, row_tokens)]
    temperature = settings.temperature if stored_at is None else stored_at
    if not tries:
        return []
    if start is not None:
        with context.ledger.clock("score"):
            tries = referred(tries, start, context.memory, context.ranks, temperature)
    stale = False
    if stored_at is not None:
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
