"""RA3's arithmetic against hand computations, slow versions and exact enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Gate, Rollout
from engine.methods.ra3.decisions import ask_decision, kl_slope
from engine.methods.ra3.rewards import (
    Group,
    Weights,
    decision_logprob,
    gate_charge,
    gate_kl,
    importance_weights,
    leave_one_out,
    line_logprob,
    returns,
)
from engine.model.encoding import EncodedTrace
from engine.model.events import add_annotated
from engine.model.logprobs import logprobs
from engine.model.tries import Trie, TrieBuilder, collate
from engine.recipe.sections import Ra3
from tests.engine.toy import HASH, NEWLINE, toy_policy


def test_a_return_sums_discounted_rewards_up_to_the_horizon_by_hand() -> None:
    rewards = np.array([[1.0, 2.0, 4.0]])
    assert returns(rewards, 1.0, None).tolist() == [[7, 6, 4]]
    assert returns(rewards, 0.5, None).tolist() == [[3, 4, 4]]
    assert returns(rewards, 0.5, 2).tolist() == [[2, 4, 4]]
    assert returns(rewards, 1.0, 1).tolist() == rewards.tolist()


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("horizon", [None, 1, 3, 50])
def test_returns_equal_the_double_loop(gamma: float, horizon: int | None) -> None:
    rewards = np.random.default_rng(0).normal(size=(3, 7))
    slow = np.zeros_like(rewards)
    for g, t in itertools.product(range(3), range(7)):
        for k in range(t, min(7, t + (horizon or 7))):
            slow[g, t] += gamma ** (k - t) * rewards[g, k]
    np.testing.assert_allclose(returns(rewards, gamma, horizon), slow)


def test_the_baseline_of_a_rollout_is_the_mean_of_the_others() -> None:
    assert leave_one_out(np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]])).tolist() == [
        [-3, -1.5],
        [-1.5, -1.5],
        [4.5, 3],
    ]


def test_a_line_is_worth_the_mean_or_the_sum_of_its_tokens() -> None:
    assert line_logprob([-1.0, -3.0], "mean") == -2
    assert line_logprob([-1.0, -3.0], "sum") == -4


def gate(p: float, think: bool, explore: float = 0.0) -> Gate:
    behaviour = (1 - explore) * p + explore * 0.5
    return Gate(think, math.log(p), math.log(behaviour if think else 1 - behaviour))


def test_the_penalty_charges_c_for_a_think_alone() -> None:
    settings = Ra3(penalty=0.3)
    assert gate_charge(gate(0.2, True), settings) == 0.3
    assert gate_charge(gate(0.2, False), settings) == 0
    assert gate_charge(None, settings) == 0


def test_the_bernoulli_charge_is_the_gates_exact_kl_whatever_was_drawn() -> None:
    g, alpha, c = 0.3, 0.9, 0.05
    settings = Ra3(bound="bernoulli", alpha=alpha, penalty=c)
    kl = g * math.log(g / (1 - alpha)) + (1 - g) * math.log((1 - g) / alpha)
    assert gate_charge(gate(g, True), settings) == pytest.approx(kl + c)
    assert gate_charge(gate(g, False), settings) == pytest.approx(kl)
    assert gate_charge(gate(0.1, False), settings) == pytest.approx(0, abs=1e-12)  # the prior itself


@given(st.floats(1e-6, 1 - 1e-6), st.booleans(), st.floats(0.01, 0.99))
def test_no_draw_of_an_exploring_gate_is_a_credit(g: float, think: bool, alpha: float) -> None:
    assert gate_charge(gate(g, think, 0.5), Ra3(bound="bernoulli", alpha=alpha)) >= -1e-9


def test_the_slope_of_the_kl_is_its_derivative_by_the_log_of_the_gate() -> None:
    alpha, step = 0.9, 1e-6
    for g in (0.02, 0.1, 0.6):
        up, down = (gate_kl(gate(g * math.exp(sign * step), True), alpha) for sign in (1, -1))
        assert kl_slope(gate(g, True), alpha) == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-8)


def test_importance_weights_are_products_of_what_was_decided_so_far_up_to_a_cap() -> None:
    """Gates drawn at b = 0.8 g + 0.1, ratios by hand; a tempered comment; a gate held open is no choice."""
    think, act = gate(0.1, True, 0.2), gate(0.1, False, 0.2)
    held = Gate(True, math.log(0.1), 0.0)
    drawn = [[-1.0], [], [], [-2.0]]
    rollout = Rollout([think, None, act, held], [[2], None, None, [3]], drawn, [[-0.5], [], [], [-2.0]], [True] * 4)
    first, second = 0.1 / 0.18 * math.exp(-0.5), 0.9 / 0.82
    weights = importance_weights([rollout], "trajectory", 10.0)
    assert weights.upto[0].tolist() == pytest.approx([first, first, first * second, first * second])
    assert weights.before[0].tolist() == pytest.approx([1, first, first, first * second])
    assert importance_weights([rollout], "branch", 10.0).upto[0].tolist() == pytest.approx([first, 1, second, 1])
    assert importance_weights([rollout], "branch", 1.05).upto.max() == pytest.approx(1.05)


def test_a_lines_likelihood_is_conditioned_on_not_beginning_as_a_latent() -> None:
    assert line_logprob([-1.0, -3.0], "sum", math.log(0.5)) == pytest.approx(-4 + math.log(2))
    assert line_logprob([-1.0, -3.0], "mean", math.log(0.5)) == pytest.approx((-4 + math.log(2)) / 2)


def test_the_bound_holds_and_is_tight_at_the_posterior_of_a_two_word_vocabulary() -> None:
    """log p(a) >= E_q[log pi(a | z)] - KL(q || p), enumerated over every latent of two lines, equal at q = p(z | a)."""
    alpha, words = 0.7, 2
    likelihood = np.array([[0.2, 0.9], [0.6, 0.1]])  # pi(a_t | z_t = word)
    start = 0  # the intent before the first line

    def prior(z: int, before: int) -> float:
        return alpha * (z == before) + (1 - alpha) / words

    paths = list(itertools.product(range(words), repeat=2))
    joint = np.array([prior(z1, start) * likelihood[0, z1] * prior(z2, z1) * likelihood[1, z2] for z1, z2 in paths])
    evidence = math.log(joint.sum())

    def bound(q: np.ndarray) -> float:
        return float(sum(p * (math.log(j) - math.log(p)) for p, j in zip(q, joint, strict=True) if p > 0))

    assert bound(joint / joint.sum()) == pytest.approx(evidence)
    for seed in range(20):
        assert bound(np.random.default_rng(seed).dirichlet(np.ones(len(paths)))) < evidence


# A trace of two lines over the toy vocabulary, and every annotation it can have with comments of at most one token.
MAX_LATENT = 1
LINES = [[NEWLINE, 2], [NEWLINE, 3]]
TRACE = EncodedTrace(prompt=[2, 3], lines=LINES, gates=[[NEWLINE, HASH], [NEWLINE, HASH]])
PROGRAM = Trace("t", "p", tuple(Line("\nx", "", True) for _ in LINES))
CHOICES: list[list[int] | None] = [None, [], [HASH], [2], [3]]


def annotations() -> Iterator[list[list[int] | None]]:
    return (list(comments) for comments in itertools.product(CHOICES, repeat=2))


def rollout_of(comments: list[list[int] | None]) -> Rollout:
    gates = [gate(0.5, comment is not None) for comment in comments]
    drawn = [[0.0] * (len(c) + (len(c) < MAX_LATENT)) if c is not None else [] for c in comments]
    return Rollout(
        gates=gates,
        comments=comments,
        comment_logprobs=drawn,
        behaviour_logprobs=drawn,
        ended=[c is not None and len(c) < MAX_LATENT for c in comments],
        tokens_generated=0,
    )


def decisions_trie(comments: list[list[int] | None], worth_T: np.ndarray) -> Trie:
    """An annotated trace, its decisions asked for with these coefficients, next to a rollout that is worth nothing."""
    trie, rollout = TrieBuilder(), rollout_of(comments)
    worth, ones = np.array([worth_T, np.zeros(2)]), np.ones((2, 2))
    group = Group(PROGRAM, TRACE, [rollout] * 2, worth, worth[1], worth * 0, worth, Weights(ones, ones), worth)
    for t, events in enumerate(add_annotated(trie, TRACE, comments, MAX_LATENT)):
        ask_decision(trie, events, group, 0, t, Ra3())
    return trie.build()


def probabilities() -> tuple[torch.Tensor, torch.nn.Module]:
    """q of each annotation, [N], with its graph, and the model it came from."""
    policy = toy_policy(seed=3)
    tries = [decisions_trie(comments, np.ones(2)) for comments in annotations()]
    totals = [logprobs(policy, collate([[trie]])).sum() for trie in tries]
    return torch.stack(totals).exp(), policy.model


def test_the_probabilities_of_all_annotations_of_a_trace_sum_to_one() -> None:
    q, _ = probabilities()
    assert q.sum().item() == pytest.approx(1, abs=1e-5)


def test_the_policy_gradient_is_that_of_the_enumerated_expectation() -> None:
    """E_z[sum_t R_t grad log q(z_t)], by targets, against autograd through sum_z q(z) R(z)."""
    rng = np.random.default_rng(1)
    rewards = {str(comments): rng.normal(size=2) for comments in annotations()}
    # A reward may depend only on what was decided up to its line.
    first = {str(choice): rng.normal() for choice in CHOICES}
    for comments in annotations():
        rewards[str(comments)][0] = first[str(comments[0])]

    q, model = probabilities()
    worth = torch.tensor([rewards[str(c)].sum() for c in annotations()], dtype=torch.float32)
    exact = torch.autograd.grad((q * worth).sum(), list(model.parameters()), allow_unused=True)

    policy = toy_policy(seed=3)
    tries = []
    for comments, p in zip(annotations(), q.tolist(), strict=True):
        returns_T = returns(rewards[str(comments)][None], 1.0, None)[0]
        tries.append(decisions_trie(comments, returns_T * p))
    batch = collate([tries])
    loss = -batch.coefficients * logprobs(policy, batch)
    ours = torch.autograd.grad(-loss.sum(), list(policy.model.parameters()), allow_unused=True)
    for expected, got in zip(exact, ours, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)


def test_an_act_is_the_complement_of_the_whole_prefix() -> None:
    policy = toy_policy(seed=5)
    trie = TrieBuilder()
    events = add_annotated(trie, TRACE, [None, None], MAX_LATENT)
    trie.ask_whole(events[0].gate, "gate")
    trie.ask_whole(events[0].gate, "gate", complement=True)
    think, act = logprobs(policy, collate([[trie.build()]])).exp().tolist()
    assert think + act == pytest.approx(1, abs=1e-6)


def test_the_decision_taken_has_its_own_logprob() -> None:
    assert math.exp(decision_logprob(gate(0.2, True))) == pytest.approx(0.2)
    assert math.exp(decision_logprob(gate(0.2, False))) == pytest.approx(0.8)
