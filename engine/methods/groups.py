"""The samples of one problem: what each of them earns, and what it teaches beside the others. Pure functions.

Shapes: G samples of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.decoding.sampler import StopReason
from engine.methods.curriculum import PassRates, difficulty
from engine.methods.sampling import Sample
from engine.model.encoding import encode_prompt
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Rlvr
from engine.suites.problem import Problem

FRACTION_WEIGHT = 0.1
"""Of the share of tests passed beside a pass, where the reward is ``weighted``."""
STD_FLOOR = 1e-6
"""Below this spread of rewards a group has nothing to teach."""


def group_advantages(
    rewards_G: NDArray[np.float64],
    kept_G: NDArray[np.bool_],
    normalise: Literal["group", "mean", "none"],
) -> NDArray[np.float64]:
    """Reward less the group's mean, over its standard deviation for ``group``, over that mean for ``mean``; [G].

    The last is MaxRL's estimator (arXiv 2602.02710): with rewards of 0 and 1 its expectation is the gradient of the
    likelihood of passing, cut to its first G terms, and not that of the pass rate. Samples that are not kept count in
    neither, and get 0. A group of equal rewards gets zeros.
    """
    advantages = np.zeros_like(rewards_G)
    rewards = rewards_G[kept_G]
    if len(rewards) < 2 or rewards.std() < STD_FLOOR:
        return advantages
    scale = {"group": rewards.std(), "mean": rewards.mean(), "none": 1.0}[normalise]
    advantages[kept_G] = (rewards - rewards.mean()) / scale
    return advantages


def reward_of(sample: Sample, settings: Rlvr, update: int) -> float:
    """What a sample earns in the stage's ``update``, 0 to 1, or to 1.1 where it is ``weighted``."""
    passed = float(sample.passed)
    if not settings.gives_partial_credit(update):
        return passed
    return sample.fraction if settings.reward == "fraction" else passed + FRACTION_WEIGHT * sample.fraction


def kept(sample: Sample, filter_overlong: bool) -> bool:
    """Does a sample count? Not where the sandbox failed, nor, with the filter, where the length limit cut it."""
    return not sample.masked and not (filter_overlong and sample.completion.stop == StopReason.LENGTH)


@dataclass(frozen=True)
class SampleGroup:
    """The samples of one problem and their advantages."""

    samples: list[Sample]
    kept: NDArray[np.bool_]
    """[G] does the sample count?"""
    rewards: NDArray[np.float64]
    """[G]"""
    advantages: NDArray[np.float64]
    """[G]"""

    @property
    def problem(self) -> Problem:
        """Whose samples they are."""
        return self.samples[0].problem

    @property
    def passed(self) -> list[bool]:
        """Whether each of the samples that count has passed."""
        return [sample.passed for sample, counts in zip(self.samples, self.kept, strict=True) if counts]

    @property
    def teaches(self) -> bool:
        """Do its rewards differ?"""
        return bool(np.any(self.advantages))


def form_group(samples: list[Sample], settings: Rlvr, update: int = 1) -> SampleGroup:
    """Verdicts to the rewards of the stage's ``update``, and these to advantages."""
    counted = np.array([kept(sample, settings.filter_overlong) for sample in samples])
    rewards = np.array([reward_of(sample, settings, update) for sample in samples])
    return SampleGroup(samples, counted, rewards, group_advantages(rewards, counted, settings.normalise))


def sample_tries(policy: Policy, group: SampleGroup, row_tokens: int) -> list[Trie]:
    """One group as few tries of at most ``row_tokens`` nodes: the prompt, a branch a sample, a target a sampled token.

    A target's coefficient is its sample's advantage, its old log-probability that under which it was drawn.
    """
    prompt = encode_prompt(policy, group.problem.prompt)
    tries = [TrieBuilder()]
    for sample, advantage, counted in zip(group.samples, group.advantages, group.kept, strict=True):
        if not counted:
            continue
        ids = sample.completion.ids
        if len(tries[-1]) and len(tries[-1]) + len(ids) > row_tokens:
            tries.append(TrieBuilder())
        events, _ = tries[-1].chain(ids, tries[-1].add(prompt)[-1])
        tries[-1].ask(events, "completion", float(advantage), sample.completion.behaviour_logprobs)
    return [trie.build() for trie in tries if trie.n_targets]


def equal_samples(groups: Sequence[SampleGroup]) -> list[SampleGroup]:
    """The groups with advantages by which a mean over tokens is a mean over samples: times mean length over length."""
    lengths = [np.array([len(sample.completion.ids) for sample in group.samples], dtype=float) for group in groups]
    counted = [own[group.kept] for group, own in zip(groups, lengths, strict=True)]
    mean = np.concatenate(counted).mean() if counted else 1.0
    return [
        replace(group, advantages=group.advantages * mean / own) for group, own in zip(groups, lengths, strict=True)
    ]


def measure(groups: Sequence[SampleGroup]) -> dict[str, float]:
    """Metrics of one update: over all samples drawn for it but those that met a fault of ours, and over all groups.

    Groups that were replaced count too: a mean over those that teach alone would be high where problems are hard, and
    low where they are easy.
    """
    samples = [sample for group in groups for sample in group.samples]
    rewards = [float(reward) for group in groups for reward in group.rewards]
    counted = [(sample, reward) for sample, reward in zip(samples, rewards, strict=True) if not sample.masked]
    return {
        "rlvr/reward": _mean([reward for _, reward in counted]),
        "rlvr/pass_rate": _mean([float(sample.passed) for sample, _ in counted]),
        "rlvr/solved": _mean([float(any(s.passed for s in group.samples)) for group in groups]),
        "rlvr/teaching_groups": _mean([float(group.teaches) for group in groups]),
        "rlvr/entropy": _mean([-logprob for sample in samples for logprob in sample.completion.behaviour_logprobs]),
        "rlvr/length": _mean([float(len(sample.completion.ids)) for sample in samples]),
        "rlvr/overlong": _mean([float(s.completion.stop == StopReason.LENGTH) for s in samples]),
        "rlvr/masked": _mean([float(sample.masked) for sample in samples]),
    }


def measure_by_difficulty(groups: Sequence[SampleGroup], rates: PassRates) -> dict[str, float]:
    """The mean reward over the samples of new, hard, middling and easy problems, by what was known of them before."""
    of: dict[str, list[float]] = {}
    for group in groups:
        earned = [float(r) for s, r in zip(group.samples, group.rewards, strict=True) if not s.masked]
        of.setdefault(difficulty(rates.get(group.problem.task_id)), []).extend(earned)
    return {f"rlvr/reward_{name}": _mean(earned) for name, earned in of.items() if earned}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
