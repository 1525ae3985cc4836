"""Branches over shared keys say and learn exactly what each would alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import Rollout
from engine.methods.ra3.branch_scoring import branch_gradient, place_branches, score_branches
from engine.methods.ra3.decisions import ask_decision
from engine.methods.ra3.rewards import Group
from engine.model.encoding import EncodedTrace
from engine.model.events import add_annotated
from engine.model.logprobs import logprobs
from engine.model.policy import Policy, Support
from engine.model.tries import Trie, TrieBuilder, collate
from engine.pipeline import execute
from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Ra3
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from tests.engine.small import small_recipe
from tests.engine.tiny import encoded, slow_comment, slow_gate, slow_line, slow_logits, tiny_policy, traces

MOST = 5


def draw(policy: Policy, given: list[EncodedTrace], seeds: list[int], **options: float) -> list[Rollout]:
    settings = {"max_latent_tokens": MOST, "explore": 0.5, "explore_prior": 0.8, **options}
    return annotate_branches(policy, given, seeds, **settings)


def state(trace: EncodedTrace, line: int) -> list[int]:
    """Tokens of the bare trace before ``line``."""
    return [*trace.prompt, *itertools.chain.from_iterable(trace.lines[:line])]


def alike(left: Rollout, right: Rollout) -> bool:
    """Same decisions, numbers to rounding."""
    if (left.comments, left.ended) != (right.comments, right.ended):
        return False
    pairs = zip(left.comment_logprobs, right.comment_logprobs, strict=True)
    return all(np.allclose(a, b, atol=1e-4) for a, b in pairs)


def gpt2(policy: Policy) -> Policy:
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=policy.vocab_size, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3)
    return replace(policy, model=GPT2LMHeadModel(config).eval().to(policy.device))


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_greedy_comments_are_those_drawn_one_at_a_time_without_a_cache(model: str) -> None:
    policy = tiny_policy() if model == "llama" else gpt2(tiny_policy())
    newlines = policy.supports[Support.NEWLINE]
    for trace, rollout in zip(
        encoded(),
        draw(policy, encoded(), [0, 1, 2], explore=1.0, explore_prior=1.0, comment_temperature=0),
        strict=True,
    ):
        for line, prefix in enumerate(trace.gates):
            if prefix is None:
                continue
            ids = state(trace, line) + prefix
            told: list[int] = []
            while len(told) < MOST:
                logits = slow_logits(policy, ids + told)[-1]
                logits[~policy.supports[Support.COMMENT]] = -torch.inf
                end = logits[newlines].logsumexp(0)
                logits[newlines] = -torch.inf
                if end > logits.max():
                    break
                told.append(int(logits.argmax()))
            assert rollout.comments[line] == told


def test_the_logprobs_of_gates_and_comments_are_those_of_each_branch_alone() -> None:
    policy = tiny_policy()
    thought = 0
    for trace, rollout in zip(encoded(), draw(policy, encoded(), [3, 4, 5]), strict=True):
        for line, prefix in enumerate(trace.gates):
            gate, comment = rollout.gates[line], rollout.comments[line]
            assert (gate is None) == (prefix is None)
            if gate is None or prefix is None:
                continue
            before = state(trace, line)
            assert gate.logprob_think == pytest.approx(slow_gate(policy, before, prefix), abs=1e-4)
            if comment is not None:
                thought += 1
                expected = slow_comment(policy, before + prefix, comment, ended=rollout.ended[line])
                assert rollout.comment_logprobs[line] == pytest.approx(expected, abs=1e-4)
    assert thought > 5


def test_what_a_branch_draws_does_not_depend_on_its_neighbours() -> None:
    policy = tiny_policy()
    given = [trace for trace in encoded() for _ in range(3)]
    seeds = list(range(9))
    together = draw(policy, given, seeds)
    apart = [
        draw(policy, [trace], [seed], row_tokens=1, batch_size=2)[0] for trace, seed in zip(given, seeds, strict=True)
    ]
    assert all(map(alike, together, apart))
    assert len({str(rollout.comments) for rollout in together[:3]}) > 1


def test_should_stop_leaves_the_rest_undrawn() -> None:
    assert draw(tiny_policy(), encoded(), [0, 1, 2], should_stop=lambda: True, explore=1.0) == []


def recipe(tmp_path: Path, **ra3: object) -> Recipe:
    lines = "\n".join(f"{key} = {value}" for key, value in ra3.items())
    head = 'name = "b"\nmodel.id = "random:tiny"\ncompute.row_tokens = 400\n[arms.a]\nstages = ["ra3"]\n'
    return parse_recipe(f"{head}[ra3]\nmax_latent_tokens = {MOST}\n{lines}\n", "test")


def group(settings: Recipe, count: int = 3) -> Group:
    policy, trace = tiny_policy(), encoded()[0]
    rollouts = draw(policy, [trace] * count, list(range(count)))
    return score_branches(policy, traces()[0], trace, rollouts, settings.ra3, settings.compute)


@pytest.mark.parametrize("horizon", [1, 2, None])
def test_a_branch_is_worth_the_lines_behind_its_latent_alone(horizon: int | None, tmp_path: Path) -> None:
    gamma, c = 0.5, 0.1
    extra = {} if horizon is None else {"horizon": horizon}
    found = group(recipe(tmp_path, gamma=gamma, penalty=c, **extra))
    policy, trace = tiny_policy(), encoded()[0]
    for (g, t), worth in np.ndenumerate(found.returns):
        comment, prefix = found.rollouts[g].comments[t], trace.gates[t]
        before = state(trace, t) + ([] if comment is None else [*(prefix or []), *comment])
        expected = 0.0 if comment is None else -c
        for k, line in enumerate(trace.lines[t : t + horizon if horizon else None]):
            expected += gamma**k * slow_line(policy, before, line, trace.gates[t + k]) / len(line)
            before = before + line
        assert worth == pytest.approx(expected, abs=1e-3)


def test_rows_too_short_for_all_branches_change_nothing(tmp_path: Path) -> None:
    wide = group(recipe(tmp_path))
    narrow = group(
        recipe(tmp_path).model_copy(update={"compute": recipe(tmp_path).compute.model_copy(update={"row_tokens": 16})})
    )
    assert len(place_branches(wide.encoded, wide.rollouts, MOST, 3, 16)) > 1
    np.testing.assert_allclose(narrow.returns, wide.returns, atol=1e-4)


def alone(found: Group, ra3: Ra3) -> list[Trie]:
    """Each decision on a trace of its own: nothing shared, and nothing else in the row."""
    made = []
    for g, rollout in enumerate(found.rollouts):
        for t, prefix in enumerate(found.encoded.gates):
            if prefix is None:
                continue
            comments = [None] * t + [rollout.comments[t]]
            trie = TrieBuilder()
            cut = EncodedTrace(found.encoded.prompt, found.encoded.lines[: t + 1], found.encoded.gates[: t + 1])
            events = add_annotated(trie, cut, comments, MOST)[t]
            ask_decision(trie, events, found, g, t, ra3)
            made.append(trie.build())
    return made


def test_the_gradient_of_the_tree_is_the_sum_of_its_branches_alone(tmp_path: Path) -> None:
    settings = recipe(tmp_path, horizon=2)
    found = group(settings)
    assert np.abs(found.advantages).max() > 0

    def gradient(tries: list[Trie]) -> list[torch.Tensor | None]:
        policy = tiny_policy().clone()
        for trie in tries:
            batch = collate([[trie]]).to(policy.device)
            (logprobs(policy, batch) * batch.coefficients).sum().backward()
        return [weight.grad for weight in policy.model.parameters()]

    packed = branch_gradient(found, settings.ra3, settings.compute)
    assert len(packed) == 1
    apart = alone(found, settings.ra3)
    assert sum(map(len, packed)) < 0.3 * sum(map(len, apart))
    for ours, theirs in zip(gradient(packed), gradient(apart), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()) + 1e-7)


@pytest.mark.slow
def test_a_run_in_branch_mode_records_its_branches(tmp_path: Path) -> None:
    changes = {
        "[ra3.estep]": '[ra3.estep]\nmode = "branch"',
        "[ra3]": "[ra3]\nhorizon = 2",
        '"ntp", "ra3", "eval", "rlvr", "eval"': '"ra3"',
    }
    run = plan(small_recipe(tmp_path, **changes), tmp_path / "home").runs[0].id
    (outcome,) = execute(tmp_path / "home", [run], Silent())
    assert outcome.status == "done", outcome.error
    reader = Reader(tmp_path / "home")
    rows = [row for row in reader.traces(run) if row["phase"] == "estep"]
    assert len(rows) == 2 * 4
    for row in rows:
        lines = reader.trace_lines(row["id"])
        assert sum(line["reward"] for line in lines) == pytest.approx(row["bound"])
        for line in lines:
            assert math.isfinite(line["advantage"])
            assert line["latent"] is not None or line["logprob"] == line["bare_logprob"]
    assert dict(reader.series(run, "estep/reward"))
