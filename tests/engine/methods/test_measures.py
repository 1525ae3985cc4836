"""What is measured of rollouts, by hand on a trace of four lines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Gate, Rollout
from engine.methods.ra3.measures import measure
from engine.methods.ra3.rewards import Group, Weights, gate_charge, returns
from engine.model.encoding import EncodedTrace
from engine.recipe.sections import Ra3

SETTINGS = Ra3(penalty=0.1, gamma=0.5)


def group(thinks: list[list[bool]], line_logprobs: list[list[float]], bare: list[float]) -> Group:
    lines = len(bare)
    rollouts = [
        Rollout(
            gates=[Gate(think, math.log(0.25), math.log(0.25 if think else 0.75)) for think in row],
            comments=[[1, 2] if think else None for think in row],
        )
        for row in thinks
    ]
    trace = Trace("t", "p", tuple(Line("\nx", "", True) for _ in range(lines)), "here")
    encoded = EncodedTrace([0], [[0]] * lines, [[0, 1]] * lines)
    charges = np.array([[gate_charge(gate, SETTINGS) for gate in rollout.gates] for rollout in rollouts])
    likelihood = np.array(line_logprobs)
    worth = returns(likelihood - charges, SETTINGS.gamma, SETTINGS.horizon)
    return Group(
        trace,
        encoded,
        rollouts,
        likelihood,
        np.array(bare),
        charges,
        worth,
        Weights(np.ones_like(worth), np.ones_like(worth)),
        worth,
    )


TWO = group(
    [[True, False, True, False], [False, False, False, False]],
    [[-1.0, -2.0, -1.0, -2.0], [-2.0, -2.0, -2.0, -2.0]],
    [-2.0, -2.0, -2.0, -2.0],
)


def test_the_reward_is_the_likelihood_less_the_penalty() -> None:
    found = measure([TWO], SETTINGS)
    assert found["estep/likelihood"] == pytest.approx(-14 / 8)
    assert found["estep/penalty"] == pytest.approx(0.2 / 8)
    assert found["estep/reward"] == pytest.approx(-14.2 / 8)
    assert found["estep/bound"] == pytest.approx((-6.2 - 8) / 2)


def test_the_gain_is_that_of_the_lines_with_a_latent() -> None:
    assert measure([TWO], SETTINGS)["estep/gain"] == pytest.approx(1.0)


def test_a_trace_without_latents_has_no_gain_and_one_segment() -> None:
    none = group([[False] * 4] * 2, [[-2.0] * 4] * 2, [-2.0] * 4)
    found = measure([none], SETTINGS)
    assert "estep/gain" not in found
    assert (found["estep/segments"], found["estep/duration"], found["estep/think_rate"]) == (1, 4, 0)


def test_segments_durations_and_the_effective_discount() -> None:
    found = measure([TWO], SETTINGS)
    assert found["estep/segments"] == pytest.approx(1.5)  # of 2, 2 and 4 lines
    assert found["estep/duration"] == pytest.approx(8 / 3)
    assert found["estep/gamma_bar"] == pytest.approx((0.25 + 0.25 + 0.0625) / 3)


def test_the_gates_entropy_is_in_nats() -> None:
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert measure([TWO], SETTINGS)["estep/gate_entropy"] == pytest.approx(expected)


def test_the_best_rollout_is_the_one_with_the_highest_bound() -> None:
    kept = TWO.keep_best(1)
    assert kept.rollouts == [TWO.rollouts[0]]
    assert kept.rewards.sum() == pytest.approx(-6.2)


def test_the_best_is_judged_with_what_its_latents_cost() -> None:
    """The first is likelier by 0.15, and pays 0.2 for two latents."""
    near = group([[True, True], [False, False]], [[-1.0, -1.0], [-1.1, -1.05]], [-1.0, -1.0])
    assert near.keep_best(1).rollouts == [near.rollouts[1]]


def test_advantages_are_returns_less_those_of_the_others() -> None:
    first = TWO.returns[0] - TWO.returns[1]
    assert TWO.advantages == pytest.approx(np.array([first, -first]))
    alone = TWO.keep_best(1)
    assert alone.advantages == pytest.approx(np.zeros((1, 4)))
