"""The update: its loss by hand, its independence of packing, its refusal of what is not finite."""

from __future__ import annotations

import math

import pytest
import torch

from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder, collate
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.objectives import Clip, surrogate
from engine.training.scoring import score
from engine.training.trainer import Trainer
from tests.engine.devices import accelerator
from tests.engine.toy import toy_policy

CLIP = Clip(0.2, 0.28)


def loss_of(logprob: float, old: float, coefficient: float) -> tuple[float, bool]:
    loss, clipped = surrogate(torch.tensor([logprob]), torch.tensor([old]), torch.tensor([coefficient]), CLIP)
    return float(loss), bool(clipped)


def test_without_an_old_logprob_the_loss_is_that_of_likelihood() -> None:
    assert loss_of(-2.0, math.nan, 0.5) == (1.0, False)


def test_the_ratio_is_clipped_above_for_a_good_token_and_below_for_a_bad_one() -> None:
    assert loss_of(math.log(0.3), math.log(0.2), 1.0) == (pytest.approx(-1.28), True)
    assert loss_of(math.log(0.1), math.log(0.2), -1.0) == (pytest.approx(0.8), True)


def test_the_ratio_is_not_clipped_where_clipping_would_hide_a_loss() -> None:
    assert loss_of(math.log(0.3), math.log(0.2), -1.0) == (pytest.approx(1.5), False)
    assert loss_of(math.log(0.1), math.log(0.2), 1.0) == (pytest.approx(-0.5), False)


def test_at_the_old_policy_the_ratios_gradient_is_that_of_reinforce() -> None:
    x = torch.tensor([-1.5], requires_grad=True)
    loss, _ = surrogate(x, x.detach(), torch.tensor([0.7]), CLIP)
    loss.backward()
    assert x.grad is not None
    assert float(x.grad) == pytest.approx(-0.7)


def tries(coefficient: float = 1.0) -> list[Trie]:
    made = []
    for ids in ([2, 3, 0, 2], [2, 3, 0, 3, 1], [3, 0, 1], [3, 3, 3, 2, 0, 0]):
        trie = TrieBuilder()
        events, _ = trie.chain(ids[1:], trie.add(ids[:1])[-1])
        trie.ask(events, "code", coefficient)
        made.append(trie.build())
    return made


def trainer(policy: Policy, **compute: int) -> Trainer:
    return Trainer(policy, Optimiser(learning_rate=0.01), MemoryGuard(Compute(**compute)), accelerator())


@pytest.mark.parametrize(("row_tokens", "micro_rows"), [(16, 1), (16, 2), (64, 1), (64, 8)])
def test_an_update_does_not_depend_on_how_it_is_packed(row_tokens: int, micro_rows: int) -> None:
    reference, other = toy_policy(seed=7), toy_policy(seed=7)
    first = trainer(reference, row_tokens=1024, micro_rows=1).update(tries())
    second = trainer(other, row_tokens=row_tokens, micro_rows=micro_rows).update(tries())
    assert second.loss == pytest.approx(first.loss, rel=1e-5)
    assert second.grad_norm == pytest.approx(first.grad_norm, rel=1e-4)
    for a, b in zip(reference.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_loss_of_imitation_is_the_mean_negative_logprob() -> None:
    policy = toy_policy(seed=7)
    values = [value for trie in score(policy, tries(), Compute()) for value in trie]
    update = trainer(policy).update(tries())
    assert update.loss == pytest.approx(-sum(values) / len(values), rel=1e-5)
    assert update.mean_logprob["code"] == pytest.approx(-update.loss, rel=1e-5)


def test_imitation_makes_the_traces_likelier() -> None:
    policy = toy_policy(seed=7)
    teacher = trainer(policy)
    losses = [teacher.update(tries()).loss for _ in range(8)]
    assert losses[-1] < losses[0] - 0.1


def test_behind_an_update_no_gradient_is_held() -> None:
    policy = toy_policy(seed=7)
    trainer(policy).update(tries())
    assert all(weight.grad is None for weight in policy.model.parameters())


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone() -> None:
    policy = toy_policy(seed=7)
    before = policy.fingerprint()
    update = trainer(policy).update(tries(coefficient=math.inf))
    assert update.skipped
    assert policy.fingerprint() == before


def test_a_trainer_goes_on_from_its_state_with_the_same_bits() -> None:
    straight, resumed = toy_policy(seed=7), toy_policy(seed=7)
    whole = trainer(straight)
    whole.update(tries())
    part = trainer(resumed)
    part.update(tries())
    state = part.state_dict()
    whole.update(tries())
    again = trainer(resumed)
    again.load_state_dict(state)
    again.update(tries())
    assert resumed.fingerprint() == straight.fingerprint()


def first_pass(logprob: float, old: float, coefficient: float) -> tuple[float, float, bool]:
    """Loss, its slope in the log-probability, and whether the weight was truncated."""
    x = torch.tensor([logprob], requires_grad=True)
    loss, clipped = surrogate(x, torch.tensor([old]), torch.tensor([coefficient]), None)
    loss.backward()
    assert x.grad is not None
    return float(loss.detach()), float(x.grad), bool(clipped)


def test_the_first_pass_is_reinforce_with_the_ratio_as_importance_weight() -> None:
    assert first_pass(math.log(0.3), math.log(0.2), -1.0) == (pytest.approx(1.5), pytest.approx(1.5), False)
    assert first_pass(math.log(0.1), math.log(0.2), 0.8) == (pytest.approx(-0.4), pytest.approx(-0.4), False)


@pytest.mark.parametrize("coefficient", [1.0, -1.0])
def test_an_importance_weight_is_truncated_at_two_and_its_token_still_learnt(coefficient: float) -> None:
    told = first_pass(math.log(0.9), math.log(0.1), coefficient)
    assert told == (pytest.approx(-2 * coefficient), pytest.approx(-2 * coefficient), True)


def test_where_sampler_and_trainer_agree_the_first_pass_is_plain_reinforce() -> None:
    assert first_pass(-1.5, -1.5, 0.7)[1] == first_pass(-1.5, math.nan, 0.7)[1] == pytest.approx(-0.7)
    for rounding in (-9e-4, 9e-4):
        assert first_pass(-1.5, -1.5 + rounding, 0.7)[1] == first_pass(-1.5, math.nan, 0.7)[1]
    assert first_pass(-1.5, -1.502, 0.7)[1] == pytest.approx(-0.7 * math.exp(0.002), rel=1e-5)


def test_the_rate_of_an_update_is_the_schedules_share_of_what_holds_then() -> None:
    teacher = trainer(toy_policy(seed=7))
    rates = []
    for taken, rate in enumerate([0.1, 0.1, 0.4, 0.4]):
        teacher.prepare(Optimiser(learning_rate=rate, schedule="linear"), taken, 4)
        rates.append(teacher.update(tries()).learning_rate)
    assert rates == pytest.approx([0.1, 0.075, 0.2, 0.1])


def test_the_rate_is_the_one_by_which_weights_move() -> None:
    policy = toy_policy(seed=7)
    before = [weight.detach().clone() for weight in policy.model.parameters()]
    teacher = trainer(policy)
    teacher.prepare(Optimiser(learning_rate=0.1, schedule="linear"), 3, 4)
    teacher.update(tries())
    moved = max(float((a - b).detach().abs().max()) for a, b in zip(policy.model.parameters(), before, strict=True))
    assert moved == pytest.approx(0.025, rel=1e-3)  # Adam's first step is as long as its rate


def test_what_is_trained_is_the_policy_at_the_temperature_of_its_samples() -> None:
    """Two targets by hand: the loss is that of logits over the temperature, and so is every gradient."""
    cold, scaled = toy_policy(seed=7), toy_policy(seed=7)
    with torch.no_grad():
        scaled.model.get_output_embeddings().weight.div_(0.5)
    teacher = trainer(cold)
    update = teacher.update(tries(), temperature=0.5)
    values = [value for trie in score(scaled, tries(), Compute()) for value in trie]
    assert update.loss == pytest.approx(-sum(values) / len(values), rel=1e-5)
    assert update.loss != pytest.approx(trainer(toy_policy(seed=7)).update(tries()).loss, rel=1e-3)


@pytest.mark.parametrize("max_grad_norm", [0.05, 100.0])
def test_updates_are_those_of_adamw_with_the_settings_given(max_grad_norm: float) -> None:
    """Against torch's own loop: rates that warm up, betas, decay, and the norm that gradients are cut to."""
    settings = Optimiser(
        learning_rate=0.02, warmup_steps=2, weight_decay=0.3, beta1=0.5, beta2=0.8, max_grad_norm=max_grad_norm
    )
    ours, plain = toy_policy(seed=7), toy_policy(seed=7)
    updater = Trainer(ours, settings, MemoryGuard(Compute()), accelerator())
    adam = torch.optim.AdamW(plain.model.parameters(), lr=0.02, betas=(0.5, 0.8), weight_decay=0.3)
    batch = collate([tries()]).to(plain.device)
    for taken, rate in enumerate((0.02 / 3, 0.04 / 3, 0.02, 0.02)):
        updater.prepare(settings, taken, 10)
        update = updater.update(tries())
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        (-logprobs(plain, batch).mean()).backward()
        norm = torch.nn.utils.clip_grad_norm_(plain.model.parameters(), max_grad_norm)
        adam.step()
        assert update.learning_rate == pytest.approx(rate)
        assert update.grad_norm == pytest.approx(float(norm), rel=1e-3)
        assert update.tokens == sum(map(len, tries()))
    for a, b in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


def test_a_share_of_clipped_ratios_is_counted() -> None:
    policy = toy_policy(seed=7)
    trie = TrieBuilder()
    events, _ = trie.chain([3, 0, 2], trie.add([2])[-1])
    at = score(policy, tries(), Compute())[0].tolist()
    trie.ask(events, "code", 1.0, [at[0] - 1, at[1], at[2]])
    assert trainer(policy).update([trie.build()], CLIP).clip_fraction == pytest.approx(1 / 3)
