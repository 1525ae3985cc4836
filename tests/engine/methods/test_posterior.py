"""Resampling gives the posterior, by enumeration; the lexicon, the format rule and the tempered gate by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Exploration, Gate, Rollout, decide
from engine.methods.ra3.estep import follow
from engine.methods.ra3.lexicon import collapse, lexicon
from engine.methods.ra3.posterior import (
    effective_share,
    keep_lines,
    keep_trace,
    log_weights,
    normalised,
    ranked,
    resampler,
)
from engine.methods.ra3.rewards import Group, charges, importance_weights, malformed
from engine.model.encoding import EncodedTrace
from engine.pipeline import execute
from engine.recipe.sections import Ra3
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from tests.engine.small import small_recipe
from tests.engine.toy import toy_policy

WORDS = {1: " ", 2: "sort", 3: "the list"}


def decode(ids: object) -> str:
    return " ".join(WORDS[i] for i in ids)  # type: ignore[attr-defined]


def rollout(*comments: list[int] | None, ended: bool = True) -> Rollout:
    return Rollout(
        gates=[Gate(c is not None, math.log(0.25), math.log(0.5)) for c in comments],
        comments=list(comments),
        comment_logprobs=[[-2.0] if c is not None else [] for c in comments],
        behaviour_logprobs=[[-1.5] if c is not None else [] for c in comments],
        ended=[c is not None and ended for c in comments],
    )


def group(*rollouts: Rollout) -> Group:
    lines = len(rollouts[0].gates)
    trace = Trace("t", "p", tuple(Line("\nx", "", True) for _ in range(lines)), "here")
    zeros = np.zeros((len(rollouts), lines))
    encoded = EncodedTrace([0], [[0]] * lines, [[0, 1]] * lines)
    weights = importance_weights(rollouts, "branch", 100.0)
    return Group(trace, encoded, list(rollouts), zeros, zeros[0], zeros, zeros, weights, zeros)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("bound", ["penalty", "bernoulli"])
def test_weights_turn_draws_of_an_exploring_gate_into_the_posterior(bound: str, temperature: float) -> None:
    """b(z) w(z) against the summands of sum_z p(z) (pi(a|z) e^-c)^(1/kappa): a gate, and a comment of two words."""
    c, alpha, g = 0.3, 0.9, 0.2
    settings = Ra3.model_validate(
        {"bound": bound, "penalty": c, "alpha": alpha, "estep": {"resample_temperature": temperature}}
    )
    explore = Exploration(0.5, 0.5, 2.0)
    word = {2: 0.7, 3: 0.3}  # q, which is also the prior of words
    tempered = {2: 0.6, 3: 0.4}
    likelihood = {None: 0.1, 2: 0.5, 3: 0.2}
    b = explore.p_think(math.log(g))
    prior = {True: 1 - alpha, False: alpha} if bound == "bernoulli" else {True: 1.0, False: 1.0}

    exact, ours = {}, {}
    for z, pi in likelihood.items():
        think = z is not None
        drawn = Rollout(
            gates=[Gate(think, math.log(g), math.log(b if think else 1 - b))],
            comments=[None if z is None else [z]],
            comment_logprobs=[[] if z is None else [math.log(word[z])]],
            behaviour_logprobs=[[] if z is None else [math.log(tempered[z])]],
            ended=[think],
        )
        (charge,) = charges(drawn, [[]], [False], settings)
        weight = math.exp(log_weights(group(drawn), np.array([[math.log(pi) - charge]]), settings)[0, 0])
        rewarded = (pi * math.exp(-c if think else 0.0)) ** (1 / temperature)
        exact[z] = prior[think] * (1.0 if z is None else word[z]) * rewarded
        ours[z] = (1 - b if z is None else b * tempered[z]) * weight
    assert ours == pytest.approx(exact)


def test_resampling_draws_by_weight() -> None:
    weights = np.log(np.array([1.0, 6.0, 3.0])) - 800
    pick = resampler(np.random.default_rng(0))
    counts = np.bincount([pick(weights) for _ in range(4000)], minlength=3) / 4000
    assert counts == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    assert normalised(weights) == pytest.approx([0.1, 0.6, 0.3])
    assert [ranked(place)(weights) for place in range(3)] == [1, 2, 0]


def test_the_effective_share_runs_from_one_of_g_to_all() -> None:
    assert effective_share(np.zeros(4)) == pytest.approx(1)
    assert effective_share(np.array([0.0, -800, -800, -800])) == pytest.approx(0.25)


def test_lines_are_kept_one_by_one_and_traces_as_a_whole() -> None:
    both = group(rollout([2], [3]), rollout(None, [2, 3]))
    weights = np.array([[0.0, 0.0], [1.0, -2.0]])
    assert keep_lines(both, weights, ranked(0)).comments == [None, [3]]
    assert keep_trace(both, weights, ranked(0)).comments == [[2], [3]]


def test_a_comment_that_says_nothing_or_was_cut_is_charged() -> None:
    settings = Ra3.model_validate({"penalty": 0.1, "estep": {"format_charge": 0.5}})
    good, empty, cut = rollout([2], None), rollout([1], []), rollout([2], None, ended=False)
    assert malformed(good, decode) == [False, False]
    assert malformed(empty, decode) == [True, True]
    assert malformed(cut, decode) == [True, False]
    assert charges(empty, [[], []], malformed(empty, decode), settings) == pytest.approx([0.6, 0.6])


def test_the_gates_temperature_divides_its_log_odds_and_is_corrected_for() -> None:
    tempered = Exploration(0.0, 0.5, 2.0)
    p = tempered.p_think(math.log(0.1))
    assert math.log(p / (1 - p)) == pytest.approx(math.log(0.1 / 0.9) / 2)
    assert 0 <= Exploration(0.0, 0.5, 0.01).p_think(-500.0) < 1e-100
    taken = decide(math.log(0.1), 0.0, tempered)
    assert taken.behaviour_logprob == pytest.approx(math.log(p))
    assert taken.logprob_think == pytest.approx(math.log(0.1))


def test_the_lexicon_counts_words_not_their_case_or_spaces() -> None:
    decode_cased = {2: "Sort", 3: " sort ", 4: "join"}
    found = lexicon([group(rollout([2], [3], [4], None))], lambda ids: decode_cased[ids[0]], "e")
    assert (found["e/distinct"], found["e/latents"], found["e/cover90"]) == (2, 3, 2)
    assert found["e/entropy"] == pytest.approx(-(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3))
    assert found["e/top_share"] == pytest.approx(2 / 3)
    assert lexicon([group(rollout(None))], decode, "e") == {}


def test_a_shut_gate_and_a_single_latent_raise_the_alarm() -> None:
    healthy = {"e/p_think": 0.3, "e/think_rate": 0.3, "e/top_share": 0.2, "e/latents": 50.0}
    assert collapse(healthy, "e") is None
    assert "shut" in str(collapse(healthy | {"e/p_think": 0.001}, "e"))
    assert collapse(healthy | {"e/p_think": 0.001, "e/think_rate": 1.0}, "e") is None  # it is held open
    assert "collapsed" in str(collapse(healthy | {"e/top_share": 0.8}, "e"))
    assert collapse(healthy | {"e/top_share": 0.8, "e/latents": 3.0}, "e") is None


def test_the_running_mean_follows_weight_by_weight() -> None:
    mean, q = toy_policy(seed=0), toy_policy(seed=1)
    before = [w.clone() for w in mean.model.parameters()]
    follow(mean, q, 0.75)
    for old, new, kept in zip(before, q.model.parameters(), mean.model.parameters(), strict=True):
        torch.testing.assert_close(kept.detach(), 0.75 * old + 0.25 * new.detach())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "mode", "select"),
    [("smc", "branch", "sample"), ("smc", "trajectory", "sample"), ("smc", "branch", "best"), ("rl", "branch", "best")],
)
def test_every_way_to_find_latents_goes_through_a_run(method: str, mode: str, select: str, tmp_path: Path) -> None:
    changes = {
        "[ra3.estep]": f'[ra3.estep]\nmethod = "{method}"\nmode = "{mode}"\nscorer = "ema"\nformat_charge = 0.1',
        "[ra3.mstep]": f'[ra3.mstep]\nselect = "{select}"',
        '"ntp", "ra3", "eval", "rlvr", "eval"': '"ra3"',
    }
    run = plan(small_recipe(tmp_path, **changes), tmp_path / "home").runs[0].id
    (outcome,) = execute(tmp_path / "home", [run], Silent())
    assert outcome.status == "done", outcome.error
    reader = Reader(tmp_path / "home")
    phases = {row["phase"] for row in reader.traces(run)}
    latest = reader.latest(run)
    assert phases == ({"mstep"} if method == "smc" else {"estep", "mstep"})
    assert ("annotate/effective_share" in latest) == (method == "smc")
    assert {"mstep/loss_code", "annotate/reward"} <= set(latest)
    if latest.get("annotate/latents"):
        assert {"mstep/loss_comment", "mstep/loss_gate"} & set(latest) == {"mstep/loss_gate", "mstep/loss_comment"}
