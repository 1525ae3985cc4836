"""Several passes over one update's rollouts, and the records of all of them."""

from __future__ import annotations

import math

import pytest
from accelerate import Accelerator

from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Compute, Optimiser
from engine.training.epochs import mean_loss, measure_steps, train_epochs
from engine.training.memory import MemoryGuard
from engine.training.objectives import Clip
from engine.training.trainer import Trainer, Update
from tests.engine.toy import toy_policy


def step(loss: float, grad_norm: float, clip_fraction: float) -> Update:
    return Update(loss, grad_norm, 1e-3, {}, clip_fraction, 10)


def drawn(old: float) -> list[Trie]:
    trie = TrieBuilder()
    events, _ = trie.chain([3, 0, 2], trie.add([2])[-1])
    trie.ask(events, "completion", 1.0, [old] * 3)
    return [trie.build()]


def test_metrics_are_those_of_every_pass() -> None:
    told = measure_steps([step(1.0, 2.0, 0.0), step(3.0, 4.0, 0.5)])
    assert told == {"grad_norm": 3.0, "learning_rate": 1e-3, "clip_fraction": 0.25, "skipped": 0.0}
    assert mean_loss([step(1.0, 2.0, 0.0), step(3.0, 4.0, 0.5)]) == 2.0


def test_a_pass_that_was_skipped_is_counted_and_shows_in_the_norm() -> None:
    told = measure_steps([step(1.0, math.inf, 0.0), step(1.0, 4.0, 0.0)])
    assert (told["skipped"], told["grad_norm"]) == (1.0, math.inf)


def test_the_first_pass_truncates_and_the_others_clip() -> None:
    """Old log-probabilities so low that each ratio is over both bounds: 2 in the first pass, 1.2 in the others."""
    trainer = Trainer(toy_policy(seed=7), Optimiser(learning_rate=1e-6), MemoryGuard(Compute()), Accelerator(cpu=True))
    steps = train_epochs(trainer, drawn(-50.0), Clip(0.2, 0.2), 3)
    assert [one.loss for one in steps] == pytest.approx([-2.0, -1.2, -1.2])
    assert [one.clip_fraction for one in steps] == [1, 1, 1]
    assert [one.tokens for one in steps] == [4, 4, 4]


def test_every_pass_trains_the_policy_at_the_temperature_of_its_samples() -> None:
    trainer = Trainer(toy_policy(seed=7), Optimiser(learning_rate=1e-9), MemoryGuard(Compute()), Accelerator(cpu=True))
    plain, hot = (train_epochs(trainer, drawn(math.nan), Clip(0.2, 0.2), 2, temperature=t) for t in (1.0, 3.0))
    for one, other in zip(plain, hot, strict=True):
        assert abs(one.mean_logprob["completion"] - other.mean_logprob["completion"]) > 0.05
