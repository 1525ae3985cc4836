"""Objectives by hand, and by finite differences of what reaches an update."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Batch, Trie, TrieBuilder, collate
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.objectives import Clip, Sequences, divergence, moves, surrogate
from engine.training.scoring import score
from engine.training.trainer import Trainer, Update, target_losses
from tests.engine.devices import accelerator
from tests.engine.toy import toy_policy

WIDE = {ratio: Clip(0.9, 9.0, ratio) for ratio in ("token", "sequence", "weight")}  # type: ignore[arg-type]
SEQUENCE, WEIGHT = Clip(0.2, 0.28, "sequence"), Clip(0.2, 0.28, "weight")
TWO_AND_ONE = Sequences(torch.tensor([0, 0, 1]), 2)


def lossed(
    ratios: list[float], coefficients: list[float], clip: Clip, sequences: Sequences | None = None
) -> tuple[list[float], list[float], list[bool]]:
    """Losses, their slopes in the log-probabilities, and what was clipped, for targets of these ratios."""
    old = torch.linspace(-1.0, -2.0, len(ratios))
    x = (old + torch.tensor(ratios).log()).requires_grad_()
    loss, clipped = surrogate(x, old, torch.tensor(coefficients), clip, sequences)
    loss.sum().backward()
    assert x.grad is not None
    return loss.tolist(), x.grad.tolist(), clipped.tolist()


def test_a_sequences_ratio_is_the_geometric_mean_and_each_token_gets_its_gradient_whole() -> None:
    """Ratios 4 and 1/4 are 1 together; the third target is a sequence of its own, 1.1."""
    losses, slopes, clipped = lossed([4.0, 0.25, 1.1], [0.5, 0.5, -2.0], SEQUENCE, TWO_AND_ONE)
    assert losses == pytest.approx([-0.5, -0.5, 2.2])
    assert slopes == pytest.approx([-0.5, -0.5, 2.2])
    assert clipped == [False] * 3


def test_a_sequence_is_clipped_as_a_whole() -> None:
    losses, slopes, clipped = lossed([4.0, 1.0, 0.5], [1.0, 1.0, -1.0], SEQUENCE, TWO_AND_ONE)
    assert losses == pytest.approx([-1.28, -1.28, 0.8])
    assert slopes == [0, 0, 0]
    assert clipped == [True] * 3
    losses, slopes, clipped = lossed([4.0, 1.0, 0.5], [-1.0, -1.0, 1.0], SEQUENCE, TWO_AND_ONE)
    assert losses == slopes == pytest.approx([2.0, 2.0, -0.5])
    assert not any(clipped)


def test_a_clipped_weight_leaves_every_token_its_gradient() -> None:
    losses, slopes, clipped = lossed([4.0, 1.1, 0.5], [1.0, 1.0, -2.0], WEIGHT)
    assert losses == slopes == pytest.approx([-1.28, -1.1, 1.6])
    assert clipped == [True, False, True]


def test_without_an_old_logprob_every_objective_is_that_of_likelihood() -> None:
    for clip in WIDE.values():
        x = torch.tensor([-2.0, -1.0, -0.5])
        loss, clipped = surrogate(x, torch.full((3,), math.nan), torch.full((3,), 0.5), clip, TWO_AND_ONE)
        assert (loss.tolist(), clipped.any().item()) == ([1.0, 0.5, 0.25], False)


def test_the_divergence_by_hand_and_its_pull_towards_the_reference() -> None:
    x = torch.tensor([math.log(0.2), math.log(0.4), -1.0], requires_grad=True)
    found = divergence(x, torch.tensor([math.log(0.4), math.log(0.2), math.nan]))
    found.sum().backward()
    assert x.grad is not None
    assert found.tolist() == pytest.approx([2 - 1 - math.log(2), 0.5 - 1 + math.log(2), 0.0])
    assert x.grad.tolist() == pytest.approx([1 - 2, 1 - 0.5, 0.0])


def test_the_divergence_is_the_kl_in_expectation_over_what_the_policy_draws() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    assert float((p * divergence(p.log(), q.log())).sum()) == pytest.approx(float((p * (p / q).log()).sum()))


def test_moves_are_sums_over_the_targets_that_have_something_to_be_compared_with() -> None:
    nan = math.nan
    x, old = torch.tensor([0.5, 0.2, 0.1]).log(), torch.tensor([0.25, 0.2, nan]).log()
    reference = torch.tensor([nan, 0.4, 0.1]).log()
    assert moves(x, old, reference).tolist() == pytest.approx([2, 3, 2 - 1 - math.log(2), 2, 1 - math.log(2)])


def drawn(policy: Policy, moved: float = 0.1) -> list[Trie]:
    """Two tries of two sequences, whose old and reference log-probabilities lie beside the present ones."""
    tries = []
    for i, samples in enumerate([([3, 0, 1], [2]), ([0, 2], [3, 3, 3, 1])]):
        trie = TrieBuilder()
        for j, ids in enumerate(samples):
            events, _ = trie.chain(ids, trie.add([2, i])[-1])
            trie.ask(events, "completion", 0.6 - j, [0.0] * len(ids))
        tries.append(trie.build())
    at, rng = score(policy, tries, Compute()), np.random.default_rng(3)
    near = [[each + rng.normal(0, moved, len(each)) for each in at] for _ in range(2)]
    return [
        replace(trie, targets=replace(trie.targets, old=np.float32(old), reference=np.float32(reference)))
        for trie, old, reference in zip(tries, *near, strict=True)
    ]


def test_the_targets_of_a_sequence_are_found_again_in_a_batch() -> None:
    batch = collate([drawn(toy_policy(seed=7))])
    assert (batch.sequences.tolist(), batch.n_sequences) == ([0, 0, 0, 1, 2, 2, 3, 3, 3, 3], 4)


def loss_of(policy: Policy, batch: Batch, clip: Clip | None, kl: float) -> Tensor:
    return target_losses(logprobs(policy, batch), batch, clip, kl)[0].mean()


@pytest.mark.parametrize("kl", [0.0, 0.5])
@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_the_gradient_that_reaches_the_weights_is_that_of_the_loss(ratio: str, kl: float) -> None:
    """Along a random direction in all weights, against central differences in float64."""
    policy = toy_policy(seed=7)
    batch = collate([drawn(policy)]).to(policy.device)
    policy.model.double()
    loss_of(policy, batch, WIDE[ratio], kl).backward()
    torch.manual_seed(1)
    steps = [torch.randn_like(weight) for weight in policy.model.parameters()]
    slope = sum(float((w.grad * s).sum()) for w, s in zip(policy.model.parameters(), steps, strict=True))
    values = []
    for sign in (1e-4, -2e-4):
        with torch.no_grad():
            for weight, step in zip(policy.model.parameters(), steps, strict=True):
                weight.add_(step, alpha=sign)
            values.append(float(loss_of(policy, batch, WIDE[ratio], kl)))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-4, rel=2e-3)
    assert abs(slope) > 1e-3


def trainer(policy: Policy, **compute: int) -> Trainer:
    return Trainer(policy, Optimiser(learning_rate=0.01), MemoryGuard(Compute(**compute)), accelerator())


@pytest.mark.parametrize("ratio", ["token", "sequence", "weight"])
def test_an_update_is_told_what_its_objective_came_to_however_it_is_packed(ratio: str) -> None:
    tries = drawn(toy_policy(seed=7), moved=0.5)
    clip = Clip(0.2, 0.28, ratio)  # type: ignore[arg-type]
    told = []
    for row_tokens in (16, 64):
        policy = toy_policy(seed=7)
        told.append(trainer(policy, row_tokens=row_tokens).update(tries, clip, kl=0.3))
    batch, policy = collate([tries]), toy_policy(seed=7)
    now = logprobs(policy, batch.to(policy.device)).detach().cpu()
    expected, clipped = target_losses(now, batch, clip, 0.3)
    counted, ratios, apart, referred, left = moves(now, batch.old, batch.reference).tolist()
    assert counted == referred == 10
    for update in told:
        assert update.loss == pytest.approx(float(expected.mean()), rel=1e-4)
        assert update.clip_fraction == pytest.approx(float(clipped.float().mean()))
        assert update.ratio == pytest.approx(ratios / 10, rel=1e-4)
        assert update.kl_sampler == pytest.approx(apart / 10, rel=1e-3)
        assert update.kl_reference == pytest.approx(left / 10, rel=1e-3)


def test_a_distance_is_a_mean_over_the_targets_that_have_one() -> None:
    tries = drawn(toy_policy(seed=7), moved=0.5)

    def told(lacking: str) -> Update:
        """Of the same update, but that the first try's targets lack one of the two log-probabilities."""
        nothing = {lacking: np.full_like(tries[0].targets.old, np.nan)} if lacking else {}
        first = replace(tries[0], targets=replace(tries[0].targets, **nothing))
        return trainer(toy_policy(seed=7)).update([first, *tries[1:]], kl=0.3)

    whole, undrawn, unreferred = told(""), told("old"), told("reference")
    assert undrawn.kl_reference == pytest.approx(whole.kl_reference)
    assert unreferred.kl_sampler == pytest.approx(whole.kl_sampler)
    assert undrawn.kl_sampler != pytest.approx(whole.kl_sampler, rel=1e-2)
    assert unreferred.kl_reference != pytest.approx(whole.kl_reference, rel=1e-2)


def test_the_reference_holds_a_policy_that_nothing_else_moves() -> None:
    policy, start = toy_policy(seed=7), toy_policy(seed=8)
    tries = drawn(policy)
    for trie in tries:
        trie.targets.coefficients[:] = 0
    tries = [
        replace(trie, targets=replace(trie.targets, reference=np.float32(at)))
        for trie, at in zip(tries, score(start, tries, Compute()), strict=True)
    ]
    teacher = trainer(policy)
    left = [teacher.update(tries, kl=1.0).kl_reference for _ in range(12)]
    assert left[-1] < 0.5 * left[0]
    unmoved = toy_policy(seed=7)
    before = unmoved.fingerprint()
    trainer(unmoved).update(tries)
    assert unmoved.fingerprint() == before


def test_scores_are_those_of_the_policy_at_the_temperature_asked_for() -> None:
    policy, scaled = toy_policy(seed=7), toy_policy(seed=7)
    with torch.no_grad():
        scaled.model.get_output_embeddings().weight.div_(0.5)
    tries = drawn(policy)
    for cold, plain in zip(score(policy, tries, Compute(), 0.5), score(scaled, tries, Compute()), strict=True):
        np.testing.assert_allclose(cold, plain, rtol=1e-5)
