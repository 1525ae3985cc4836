"""RLVR: GRPO with rewards from unit tests (DeepSeekMath, 2024), with the defaults of DeepCoder and DAPO (2025)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.decoding.sampler import StopReason
from engine.methods.sampling import Sample, Sampling, draw, judge, record_problems, record_samples
from engine.model.encoding import encode_prompt
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Rlvr
from engine.runs.stages.context import Context
from engine.runs.stages.seeds import shuffled
from engine.runs.stages.stage import Stage, TrainingState
from engine.suites.problem import Problem
from engine.training.trainer import Clip, Trainer, Update

STD_FLOOR = 1e-6
"""Below this spread of rewards a group has nothing to teach."""


def group_advantages(
    rewards_G: NDArray[np.float64],
    kept_G: NDArray[np.bool_],
    normalise: Literal["group", "none"],
) -> NDArray[np.float64]:
    """Reward less the group's mean, over its standard deviation for ``group``; [G].

    Samples that are not kept count neither in the mean nor in the deviation, and get 0. A group of equal rewards gets
    zeros.
    """
    advantages = np.zeros_like(rewards_G)
    rewards = rewards_G[kept_G]
    if len(rewards) < 2 or rewards.std() < STD_FLOOR:
        return advantages
    scale = rewards.std() if normalise == "group" else 1.0
    advantages[kept_G] = (rewards - rewards.mean()) / scale
    return advantages


def kept(sample: Sample, filter_overlong: bool) -> bool:
    """Does a sample count? Not where the sandbox failed, nor, with the filter, where the length limit cut it."""
    return not sample.masked and not (filter_overlong and sample.completion.stop == StopReason.LENGTH)


@dataclass(frozen=True)
class SampleGroup:
    """The samples of one problem and their advantages."""

    samples: list[Sample]
    kept: NDArray[np.bool_]
    """[G] does the sample count?"""
    advantages: NDArray[np.float64]
    """[G]"""

    @property
    def teaches(self) -> bool:
        """Do its rewards differ?"""
        return bool(np.any(self.advantages))


def form_group(samples: list[Sample], settings: Rlvr) -> SampleGroup:
    """Rewards (1 for passed, 0 for any other verdict) to advantages."""
    counted = np.array([kept(sample, settings.filter_overlong) for sample in samples])
    rewards = np.array([float(sample.passed) for sample in samples])
    return SampleGroup(samples, counted, group_advantages(rewards, counted, settings.normalise))


def sample_tries(policy: Policy, group: SampleGroup, row_tokens: int, *, clipped: bool) -> list[Trie]:
    """One group as few tries of at most ``row_tokens`` nodes: the prompt, a branch a sample, a target a sampled token.

    A target's coefficient is its sample's advantage.
    """
    problem = group.samples[0].problem
    prompt = encode_prompt(policy, problem.prompt)
    tries = [TrieBuilder()]
    for sample, advantage, counted in zip(group.samples, group.advantages, group.kept, strict=True):
        if not counted:
            continue
        ids = sample.completion.ids
        if len(tries[-1]) and len(tries[-1]) + len(ids) > row_tokens:
            tries.append(TrieBuilder())
        events, _ = tries[-1].chain(ids, tries[-1].add(prompt)[-1])
        tries[-1].ask(events, "completion", float(advantage), sample.completion.logprobs if clipped else ())
    return [trie.build() for trie in tries if trie.n_targets]


def run(context: Context, state: TrainingState | None) -> None:
    """The stage ``rlvr``."""
    settings = context.recipe.rlvr
    suite = context.suites[settings.suite]
    record_problems(context.writer, suite)
    trainer = context.trainer(context.policy, settings.optimiser)
    begin = state.restore(trainer) if state else 0
    context.display.phase("rlvr", context.position, done=begin)
    for number in range(begin + 1, settings.updates + 1):
        trainer.optimiser = context.recipe.rlvr.optimiser
        groups = list(_draw_groups(context, suite.problems, number))
        update = _improve(context, trainer, groups)
        metrics = measure(groups) | ({"rlvr/loss": update.loss} if update else {})

        def state_now(number: int = number) -> TrainingState:
            return TrainingState(trainer.state_dict(), number)

        context.finish_update(update, metrics, state_now)
        context.display.tell(number, settings.updates, "updates", f"reward {metrics['rlvr/reward']:.3f}")


RLVR = Stage("rlvr", run, TrainingState.read)


def _draw_groups(context: Context, problems: Sequence[Problem], number: int) -> Iterator[SampleGroup]:
    """The groups of update ``number``; one whose rewards are all equal is replaced a few times by another problem's."""
    settings = context.recipe.rlvr
    sampling = Sampling(settings.group_size, settings.max_new_tokens, settings.temperature)
    order = shuffled(len(problems), context.seeds("problems", number))
    wanted = settings.problems_per_update
    for attempt in range(settings.max_resamples + 1):
        chosen = [problems[next(order)] for _ in range(min(wanted, len(problems)))]
        last = attempt == settings.max_resamples
        seed = partial(context.seeds, "rlvr", number, attempt)
        completions = draw(context.resources, context.policy, chosen, sampling, seed, context.display.tell)
        for samples in judge(context.resources, context.sandbox, chosen, completions):
            group = form_group(samples, settings)
            advantages = group.advantages.tolist()
            record_samples(context.writer, context.position, samples, "rlvr", context.step + 1, advantages)
            if group.teaches or last:
                wanted -= 1
                yield group
        if wanted <= 0:
            return


def _improve(context: Context, trainer: Trainer, groups: Sequence[SampleGroup]) -> Update | None:
    """Take one update's passes over its samples; None where no group has anything to teach."""
    settings, row_tokens = context.recipe.rlvr, context.memory.compute.row_tokens
    clip = Clip(settings.clip_low, settings.clip_high) if settings.epochs > 1 else None
    teaching = [group for group in groups if group.teaches]
    tries = [t for g in teaching for t in sample_tries(context.policy, g, row_tokens, clipped=clip is not None)]
    if not tries:
        return None
    with context.ledger.clock("train"):
        return [trainer.update(tries, clip) for _ in range(settings.epochs)][-1]


def measure(groups: Sequence[SampleGroup]) -> dict[str, float]:
    """Metrics of one update: over all its samples but those the sandbox failed, and over its groups."""
    counted = [sample for group in groups for sample in group.samples if not sample.masked]
    samples = [sample for group in groups for sample in group.samples]
    return {
        "rlvr/reward": _mean([float(sample.passed) for sample in counted]),
        "rlvr/solved": _mean([float(any(s.passed for s in group.samples)) for group in groups]),
        "rlvr/teaching_groups": _mean([float(group.teaches) for group in groups]),
        "rlvr/length": _mean([float(len(sample.completion.ids)) for sample in samples]),
        "rlvr/overlong": _mean([float(s.completion.stop == StopReason.LENGTH) for s in samples]),
        "rlvr/masked": _mean([float(sample.masked) for sample in samples]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
