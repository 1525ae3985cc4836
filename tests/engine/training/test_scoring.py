"""Tries of many are scored together: each gets its own values, as alone, in fewer passes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import annotate
from engine.methods.ra3 import branch_scoring, scoring
from engine.model.policy import Policy
from engine.model.tries import Trie
from engine.recipe.sections import Compute, Ra3
from engine.training.scoring import Asking, micro_batches, score, score_together
from tests.engine.tiny import encoded, tiny_policy, traces
from tests.engine.toy import toy_policy
from tests.engine.training.test_trainer import tries as toy_tries


def asking(own: list[Trie]) -> Asking[list[float]]:
    values = yield own
    return [float(value) for part in values for value in part]


@pytest.mark.parametrize("row_tokens", [16, 64])
def test_each_is_given_the_values_of_its_own_tries(row_tokens: int) -> None:
    compute, policy = Compute(row_tokens=row_tokens), toy_policy(seed=3)
    parts = [toy_tries()[:1], [], toy_tries()[1:3], toy_tries()[3:]]
    together = score_together(policy, [asking(part) for part in parts], compute)
    assert [len(values) for values in together] == [3, 0, 6, 5]
    for part, values in zip(parts, together, strict=True):
        alone = [float(value) for trie in part for value in score(policy, [trie], compute)[0]]
        assert values == pytest.approx(alone, abs=1e-5)


def test_nobody_asks_twice() -> None:
    def twice() -> Asking[None]:
        yield []
        yield []

    with pytest.raises(RuntimeError, match="once"):
        score_together(toy_policy(seed=3), [twice()], Compute())


def test_no_tries_have_no_scores() -> None:
    assert score(toy_policy(seed=3), [], Compute()) == []
    assert score_together(toy_policy(seed=3), [], Compute()) == []


@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_groups_of_many_traces_are_those_of_each_alone(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, settings, compute = tiny_policy(), Ra3(horizon=2), Compute(row_tokens=1024)
    draw = annotate if mode == "trajectory" else annotate_branches
    many = [trace for trace in encoded() for _ in range(2)]
    rollouts = draw(policy, many, range(6), max_latent_tokens=4, explore=1.0)
    drawn = [rollouts[i : i + 2] for i in range(0, 6, 2)]
    alone, ask = {
        "trajectory": (scoring.score_group, scoring.ask_group),
        "branch": (branch_scoring.score_branches, branch_scoring.ask_branches),
    }[mode]
    arguments = [
        (policy, trace, tokens, own, settings, compute)
        for trace, tokens, own in zip(traces(), encoded(), drawn, strict=True)
    ]
    passes = counted_passes(policy, monkeypatch)
    expected = [alone(*one) for one in arguments]
    apart = len(passes)
    groups = score_together(policy, [ask(*one) for one in arguments], compute)
    assert len(passes) - apart < apart
    for ours, theirs in zip(groups, expected, strict=True):
        assert ours.trace is theirs.trace
        for name in ("line_logprobs", "bare_logprobs", "charges", "returns"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=2e-4)


def counted_passes(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Micro-batches of every scoring from now on."""
    passes: list[int] = []

    def counting(tries: list[Trie], compute: Compute) -> list[list[list[int]]]:
        batches = micro_batches(tries, compute)
        passes.extend(map(len, batches))
        return batches

    monkeypatch.setattr("engine.training.scoring.micro_batches", counting)
    return passes
