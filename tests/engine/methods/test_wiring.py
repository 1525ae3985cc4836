"""What the updates of RLVR and of the E-step are given, worked out by hand: coefficients, old values, what is asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Gate, Rollout
from engine.decoding.sampler import Completion, StopReason
from engine.methods.groups import SampleGroup, form_group, measure, sample_tries
from engine.methods.ra3.branch_scoring import branch_gradient, score_branches
from engine.methods.ra3.rewards import Group
from engine.methods.ra3.scoring import policy_gradient, score_group
from engine.methods.sampling import Sample
from engine.model.encoding import EncodedTrace
from engine.model.logprobs import logprobs
from engine.model.tries import Targets, Trie, collate
from engine.recipe.sections import Compute, Ra3, Rlvr
from engine.suites.problem import Problem
from sandbox import Check, Result, Verdict
from tests.engine.toy import HASH, NEWLINE, speaking_policy, toy_policy

A, B = 2, 3
PROBLEM = Problem("s", "t", "ab", "f", None, (), Check("", "f"))


def sample(ids: list[int], verdict: Verdict, stop: StopReason = StopReason.STOP, problem: Problem = PROBLEM) -> Sample:
    drawn = [-0.5 - i for i in range(len(ids))]
    return Sample(problem, 0, Completion(ids, "", drawn, drawn, stop, len(ids)), Result(verdict))


FOUR = [
    sample([A, B, B], Verdict.PASSED),
    sample([A, A], Verdict.WRONG_ANSWER),
    sample([B], Verdict.WRONG_ANSWER),
    sample([B, B], Verdict.SANDBOX_ERROR),
]


def rows(trie: Trie) -> dict[tuple[int, ...], float]:
    """For each target its sequence, the token it asks for last, and its coefficient."""
    found = {}
    for node, token, owner in zip(trie.targets.nodes, trie.targets.tokens, trie.targets.owners, strict=True):
        ids, at = [int(token)], int(node)
        while at >= 0:
            ids.append(int(trie.tokens[at]))
            at = int(trie.parents[at])
        key = tuple(ids[::-1])
        found[key] = found.get(key, 0.0) + float(trie.targets.coefficients[owner])
    return found


def formed(samples: list[Sample], **settings: object) -> SampleGroup:
    return form_group(samples, Rlvr.model_validate({"normalise": "none", **settings}))


def test_each_sampled_token_is_asked_for_behind_the_one_before_it_with_its_samples_advantage() -> None:
    """Rewards 1, 0, 0 and one that the sandbox failed on: advantages 2/3, -1/3, -1/3; a shared token has their sum."""
    (trie,) = sample_tries(speaking_policy(0), formed(FOUR), 100)
    expected = {
        (A, B, A): 2 / 3 - 1 / 3,
        (A, B, A, B): 2 / 3,
        (A, B, A, B, B): 2 / 3,
        (A, B, A, A): -1 / 3,
        (A, B, B): -1 / 3,
    }
    assert rows(trie) == pytest.approx(expected)
    assert trie.targets.old.tolist() == [-0.5, -1.5, -2.5, -0.5, -1.5, -0.5]
    assert set(trie.targets.names) == {"completion"}


def test_over_the_standard_deviation_advantages_are_those_of_the_samples_that_count() -> None:
    (trie,) = sample_tries(speaking_policy(0), formed(FOUR, normalise="group"), 100)
    deviation = math.sqrt(2 / 9)
    assert trie.targets.coefficients.tolist() == pytest.approx([2 / 3 / deviation] * 3 + [-1 / 3 / deviation] * 3)


def test_each_token_keeps_the_logprob_it_was_drawn_with() -> None:
    (trie,) = sample_tries(speaking_policy(0), formed(FOUR), 100)
    assert trie.targets.old.tolist() == [-0.5, -1.5, -2.5, -0.5, -1.5, -0.5]


def test_rows_too_short_for_a_group_hold_its_samples_one_by_one() -> None:
    apart = sample_tries(speaking_policy(0), formed(FOUR), 5)
    assert [rows(trie) for trie in apart] == [
        pytest.approx({(A, B, A): 2 / 3, (A, B, A, B): 2 / 3, (A, B, A, B, B): 2 / 3}),
        pytest.approx({(A, B, A): -1 / 3, (A, B, A, A): -1 / 3, (A, B, B): -1 / 3}),
    ]


@pytest.mark.parametrize(("filtered", "counted"), [(True, [True, False, True]), (False, [True, True, True])])
def test_the_filter_masks_what_the_length_limit_cut_and_nothing_else(filtered: bool, counted: list[bool]) -> None:
    cut = [
        FOUR[0],
        sample([A], Verdict.WRONG_ANSWER, StopReason.LENGTH),
        sample([B], Verdict.WRONG_ANSWER, StopReason.EOS),
    ]
    assert formed(cut, filter_overlong=filtered).kept.tolist() == counted


def test_a_failed_sandbox_is_no_failed_sample() -> None:
    metrics = measure([formed(FOUR), formed([FOUR[1]] * 2)])
    assert metrics["rlvr/reward"] == pytest.approx(1 / 5)
    assert metrics["rlvr/solved"] == metrics["rlvr/teaching_groups"] == 0.5
    assert metrics["rlvr/masked"] == pytest.approx(1 / 6)


# Two lines; of two rollouts the first thinks before both, the second before neither.
LATENTS: list[list[int] | None] = [[A], [B]]
TRACE = EncodedTrace([A, B], [[NEWLINE, A], [NEWLINE, B]], [[NEWLINE, HASH], [NEWLINE, HASH]])
PROGRAM = Trace("t", "p", tuple(Line("\nx", "", True) for _ in range(2)))


def drawn(behaviour: float) -> list[Rollout]:
    """Gates at g = 0.2, drawn with this probability of THINK; comments of one token, cut."""
    both = []
    for comments in (LATENTS, [None, None]):
        think = comments[0] is not None
        gate = Gate(think, math.log(0.2), math.log(behaviour if think else 1 - behaviour))
        words = [[-0.7], [-0.9]] if think else [[], []]
        both.append(Rollout([gate] * 2, list(comments), words, words, [think] * 2))
    return both


def settings(**keys: object) -> Ra3:
    return Ra3.model_validate({"max_latent_tokens": 1, "penalty": 0.25, "line_logp": "sum", **keys})


def scored(mode: str, ra3: Ra3, behaviour: float = 0.2) -> Group:
    score = score_branches if mode == "branch" else score_group
    return score(toy_policy(3), PROGRAM, TRACE, drawn(behaviour), ra3, Compute())


def targets(mode: str, group: Group, ra3: Ra3) -> Targets:
    gradient = branch_gradient if mode == "branch" else policy_gradient
    (trie,) = gradient(group, ra3, Compute())
    return trie.targets


def by_label(asked: Targets, label: str) -> list[float]:
    return asked.coefficients[asked.labels == asked.names.index(label)].tolist()


@pytest.mark.parametrize(("gamma", "horizon"), [(1.0, None), (0.5, None), (1.0, 1)])
@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_a_decision_has_the_advantage_of_what_followed_it(mode: str, gamma: float, horizon: int | None) -> None:
    ra3 = settings(gamma=gamma, horizon=horizon)
    group = scored(mode, ra3)
    l = group.line_logprobs  # noqa: E741 - as in the formulas
    if mode == "trajectory":
        ahead = 0.0 if horizon == 1 else gamma
        worth = [
            [row[0] - c + ahead * (row[1] - c), row[1] - c] for row, c in zip(l.tolist(), (0.25, 0.0), strict=True)
        ]
    else:
        worth = group.returns.tolist()
    np.testing.assert_allclose(group.returns, worth)
    edge = [worth[0][t] - worth[1][t] for t in range(2)]
    asked = targets(mode, group, ra3)
    gates = [edge[0], edge[1], -edge[0], -edge[1]] if mode == "trajectory" else [edge[0], -edge[0], edge[1], -edge[1]]
    thinks = [False, False, True, True] if mode == "trajectory" else [False, True, False, True]
    assert by_label(asked, "gate") == pytest.approx(gates, rel=1e-5)
    assert by_label(asked, "comment") == pytest.approx(edge, rel=1e-5)
    assert asked.complement[asked.labels == asked.names.index("gate")].tolist() == thinks
    assert abs(edge[0]) > 1e-3


def test_a_row_of_its_own_for_each_annotation_changes_nothing() -> None:
    ra3 = settings(estep={"comment_kl": 0.5})
    score = [score_group(toy_policy(3), PROGRAM, TRACE, drawn(0.2), ra3, Compute(row_tokens=n)) for n in (16, 1024)]
    for name in ("charges", "line_logprobs", "bare_logprobs"):
        np.testing.assert_allclose(*(getattr(group, name) for group in score), atol=1e-5)
    assert abs(score[0].charges[0] - score[0].charges[1]).min() > 0.1


def test_lines_without_latents_are_those_of_act_throughout() -> None:
    group = scored("trajectory", settings())
    np.testing.assert_allclose(group.bare_logprobs, group.line_logprobs[1], atol=1e-5)
    assert abs(group.bare_logprobs - group.line_logprobs[0]).max() > 0.1


def test_a_branch_is_worth_the_lines_within_the_horizon_less_its_charge() -> None:
    ra3 = settings(gamma=0.5, horizon=1)
    group = scored("branch", ra3)
    np.testing.assert_allclose(group.returns, group.line_logprobs - [[0.25, 0.25], [0, 0]])
    bare = group.bare_logprobs
    np.testing.assert_allclose(group.line_logprobs[1], bare, atol=1e-4)
    far = scored("branch", settings(gamma=0.5))
    np.testing.assert_allclose(far.returns[1], [bare[0] + 0.5 * bare[1], bare[1]], atol=1e-4)
    np.testing.assert_allclose(far.line_logprobs, group.line_logprobs, atol=1e-4)


def test_lines_are_told_behind_the_latents_that_stand_before_them() -> None:
    """Against the model's own pass over the annotated text."""
    group, policy = scored("trajectory", settings()), toy_policy(3)
    ids = [A, B, NEWLINE, HASH, A, NEWLINE, A, NEWLINE, HASH, B, NEWLINE, B]
    with torch.no_grad():
        table = policy.model(torch.tensor([ids])).logits[0].log_softmax(-1).exp()
    for t, at in enumerate((4, 9)):  # where the comment ends: a newline is given, and a latent does not come again
        line = table[at + 1, ids[at + 2]] / (1 - table[at + 1, HASH])
        assert group.line_logprobs[0, t] == pytest.approx(float(line.log()), abs=1e-5)


@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_exploration_weighs_a_decision_by_what_q_would_have_done(mode: str) -> None:
    """THINK drawn at 0.4 where q has 0.2, ACT at 0.6 where q has 0.8."""
    ra3 = settings(horizon=1)
    plain, explored = scored(mode, ra3), scored(mode, ra3, behaviour=0.4)
    np.testing.assert_allclose(plain.weights.upto, 1)
    think, act = 0.2 / 0.4, 0.8 / 0.6
    upto = [[think, think], [act, act]] if mode == "branch" else [[think, think**2], [act, act**2]]
    np.testing.assert_allclose(explored.weights.upto, upto)
    ours, others = np.array(upto) * explored.rewards, (np.array(upto) * explored.rewards)[::-1]
    np.testing.assert_allclose(explored.coefficients, ours - np.array(upto) * others)


def test_the_slope_of_the_kl_is_weighed_by_what_was_decided_before_it() -> None:
    """The KL is the same whatever the decision at its own line: that must not weigh it."""
    ra3 = settings(bound="bernoulli", alpha=0.9, horizon=1)
    group = scored("trajectory", ra3, behaviour=0.4)
    g = 0.2
    slope = g * (math.log(g / 0.1) - math.log((1 - g) / 0.9))
    gates = by_label(targets("trajectory", group, ra3), "gate")  # of each decision, the KL behind it
    before = [1, 0.2 / 0.4, 1, 0.8 / 0.6]
    assert gates[1::2] == pytest.approx([-weight * slope for weight in before])


def test_decisions_keep_their_logprob_under_q() -> None:
    once, twice = settings(), settings(estep={"epochs": 2})
    group = scored("trajectory", once, behaviour=0.4)
    np.testing.assert_array_equal(targets("trajectory", group, once).old, targets("trajectory", group, twice).old)
    asked = targets("trajectory", group, twice)
    assert asked.old.tolist() == pytest.approx([math.log(0.2), -0.7, math.log(0.2), -0.9, *[math.log(0.8)] * 2])


def test_a_gate_that_was_held_open_is_not_learnt() -> None:
    ra3 = settings()
    group = scored("trajectory", ra3)
    held = [Gate(True, math.log(0.2), 0.0)] * 2
    rollout = group.rollouts[0]
    open_ = [Rollout(held, rollout.comments, rollout.comment_logprobs, rollout.behaviour_logprobs, [True] * 2)] * 2
    again = score_group(toy_policy(3), PROGRAM, TRACE, open_, ra3, Compute())
    assert targets("trajectory", again, ra3).names == ("comment",)


def test_what_an_update_asks_for_is_the_logprob_of_what_was_drawn() -> None:
    """The trie's own numbers: a gate's prefix given a new line, and the comment's token over what may stand in one."""
    policy, ra3 = toy_policy(3), settings()
    (trie,) = policy_gradient(scored("trajectory", ra3), ra3, Compute())
    with torch.no_grad():
        values = logprobs(policy, collate([[trie]])).exp().tolist()
        table = policy.model(torch.tensor([[A, B, NEWLINE, HASH]])).logits[0].softmax(-1)
    assert values[0] == pytest.approx(float(table[2, HASH]), abs=1e-5)
    assert values[1] == pytest.approx(float(table[3, A]), abs=1e-5)
    assert trie.targets.names == ("gate", "comment")


@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_a_comment_is_charged_its_drift_from_the_scorer_and_its_form(mode: str) -> None:
    """Drawn at -0.7 nats, and cut or not; ACT has no comment to be charged for."""
    policy = toy_policy(3)
    with torch.no_grad():
        judged = float(policy.model(torch.tensor([[A, B, NEWLINE, HASH]])).logits[0, 3].log_softmax(-1)[A])
    group = scored(mode, settings(estep={"comment_kl": 0.5, "format_charge": 0.125}))
    assert group.charges[0, 0] == pytest.approx(0.25 + 0.5 * (-0.7 - judged), abs=1e-5)
    assert group.charges[1].tolist() == [0, 0]
    score = score_branches if mode == "branch" else score_group
    cut = [Rollout(r.gates, r.comments, r.comment_logprobs, r.behaviour_logprobs, [False] * 2) for r in drawn(0.2)]
    again = score(policy, PROGRAM, TRACE, cut, settings(estep={"format_charge": 0.125}), Compute())
    assert again.charges.tolist() == [[0.375, 0.375], [0, 0]]
