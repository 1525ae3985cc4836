"""Perplexity with latents and without, by hand on two traces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Gate, Rollout
from engine.methods.ra3.heldout import perplexities
from engine.methods.ra3.rewards import Group, Weights
from engine.model.encoding import EncodedTrace
from engine.recipe.sections import Ra3


def group(lengths: list[int], totals: list[list[float]], bare: list[float], how: str) -> Group:
    """Lines of so many tokens; ``totals`` and ``bare`` are nats a line, as sums over its tokens."""
    lines = np.array(lengths) if how == "mean" else np.ones(len(lengths))
    trace = Trace("t", "p", tuple(Line("\nx", "", True) for _ in lengths))
    encoded = EncodedTrace([0], [[0] * n for n in lengths], [[0, 1]] * len(lengths))
    rollouts = [Rollout(gates=[Gate(g == 0, -1.0, -1.0)] * len(lengths)) for g in range(len(totals))]
    zeros = np.zeros((len(totals), len(lengths)))
    return Group(
        trace,
        encoded,
        rollouts,
        np.array(totals) / lines,
        np.array(bare) / lines,
        zeros,
        zeros,
        Weights(zeros, zeros),
        zeros,
    )


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_perplexities_are_per_token_of_code_whatever_a_lines_likelihood_is(how: str) -> None:
    groups = [
        group([2, 4], [[-1.0, -2.0], [-2.0, -3.0]], [-2.0, -2.5], how),
        group([4], [[-6.0], [-4.0]], [-5.0], how),
    ]
    found = perplexities(groups, Ra3.model_validate({"line_logp": how}))
    marginal = math.log((math.exp(-3) + math.exp(-5)) / 2) + math.log((math.exp(-6) + math.exp(-4)) / 2)
    assert found["held_out/perplexity_bare"] == pytest.approx(math.exp(9.5 / 10))
    assert found["held_out/perplexity_latents"] == pytest.approx(math.exp(-marginal / 10))
    assert found["held_out/perplexity_mean"] == pytest.approx(math.exp(9 / 10))
    assert found["held_out/perplexity_best"] == pytest.approx(math.exp(7 / 10))
    assert found["held_out/think_rate"] == pytest.approx(0.5)
