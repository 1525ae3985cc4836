"""The probabilities of all annotations and all lines sum to one, and the gradient is that of what they say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Exploration, Gate, Rollout
from engine.methods.ra3.branch_scoring import score_branches
from engine.methods.ra3.decisions import ask_decision
from engine.methods.ra3.rewards import Group, Weights, charges, importance_weights, weighted_returns
from engine.methods.ra3.scoring import bare_logprobs, score_group
from engine.model.encoding import EncodedTrace
from engine.model.events import Comments, add_annotated
from engine.model.logprobs import logprobs
from engine.model.policy import Policy
from engine.model.tries import TrieBuilder, collate
from engine.recipe.sections import Compute, Ra3
from tests.engine.toy import HASH, NEWLINE, toy_policy

MAX_LATENT = 1
TRAILING_WORDS = ("\n", "#", "a", "a\n", "a\n\n")


class Kind:
    """A vocabulary, all lines of its so many tokens, and all latents of at most one."""

    def __init__(self, *, trailing: bool) -> None:
        self.trailing = trailing
        self.policy = toy_policy(3, words=TRAILING_WORDS, trailing=True) if trailing else toy_policy(3)
        if trailing:
            # What a line says: it ends at once, after one word, or goes on; "a\n\n" says what "a\n" does.
            inside, ends = [HASH, 2], [NEWLINE, 3]
            lines = [[e] for e in ends] + [[x, y] for x in inside for y in (*ends, *inside)]
            self.lines = [line for line in lines if line[0] != HASH]
            self.prefix = [HASH]
            self.latents: list[list[int] | None] = [None, *([x] for x in (*inside, *ends))]
            self.prompt = [2, NEWLINE]
        else:
            self.lines = [[NEWLINE, x] for x in range(4) if x != HASH]
            self.prefix = [NEWLINE, HASH]
            self.latents = [None, [], [HASH], [2], [3]]
            self.prompt = [2, 3]

    def trace(self, *lines: list[int]) -> EncodedTrace:
        return EncodedTrace(self.prompt, list(lines), [self.prefix] * len(lines), self.policy.boundary)

    def rollout(self, comments: Comments) -> Rollout:
        """The annotation as drawn, of which scoring reads the comments alone."""
        count = len(comments)
        gates = [Gate(comment is not None, math.log(0.5), math.log(0.5)) for comment in comments]
        return Rollout(gates, list(comments), [[]] * count, [[]] * count, [True] * count)  # type: ignore[arg-type]


KINDS = {"leading": Kind(trailing=False), "trailing": Kind(trailing=True)}
RA3 = Ra3(line_logp="sum", max_latent_tokens=MAX_LATENT, horizon=1)


def program(lines: int) -> Trace:
    return Trace("t", "p", tuple(Line("\nx", "", True) for _ in range(lines)))


def log_q(policy: Policy, trace: EncodedTrace, annotations: Sequence[Comments]) -> Tensor:
    """[N] log-probability of each annotation's decisions."""
    tries = []
    for comments in annotations:
        trie = TrieBuilder()
        for event, comment in zip(add_annotated(trie, trace, comments, MAX_LATENT), comments, strict=True):
            trie.ask_whole(event.gate, "gate", complement=comment is None)
            trie.ask(event.comment, "comment")
        tries.append(trie.build())
    return torch.stack([logprobs(policy, collate([[trie]])).sum() for trie in tries])


@pytest.mark.medium
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_annotations_times_lines_sum_to_one_in_trajectories(kind: Kind) -> None:
    annotations = list(itertools.product(kind.latents, repeat=2))
    total = 0.0
    for lines in itertools.product(kind.lines, repeat=2):
        trace = kind.trace(*lines)
        rollouts = [kind.rollout(comments) for comments in annotations]
        group = score_group(kind.policy, program(2), trace, rollouts, RA3, Compute())
        with torch.no_grad():
            q = log_q(kind.policy, trace, annotations).double().numpy()
        total += float(np.exp(q + group.line_logprobs.sum(1)).sum())
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_annotations_times_lines_sum_to_one_in_branches(kind: Kind) -> None:
    """Behind one bare line, whichever it is: a latent, and the next line."""
    for first in kind.lines[:2]:
        total = 0.0
        for second in kind.lines:
            trace = kind.trace(first, second)
            annotations: list[Comments] = [[None, latent] for latent in kind.latents]
            rollouts = [kind.rollout(comments) for comments in annotations]
            group = score_branches(kind.policy, program(2), trace, rollouts, RA3, Compute())
            with torch.no_grad():
                q = log_q(kind.policy, trace, annotations) - log_q(kind.policy, kind.trace(first), [[None]])
            total += float(np.exp(q.double().numpy() + group.line_logprobs[:, 1]).sum())
        assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_held_out_lines_without_latents_sum_to_one(kind: Kind) -> None:
    traces = [kind.trace(*lines) for lines in itertools.product(kind.lines, repeat=2)]
    rows = bare_logprobs(kind.policy, traces, RA3, Compute())
    assert sum(math.exp(row.sum()) for row in rows) == pytest.approx(1, abs=1e-5)


def annotated(policy: Policy, trace: EncodedTrace, comments: Comments, explore: Exploration) -> tuple[Rollout, float]:
    """The rollout that drew ``comments`` by an exploring gate, and the log-probability of drawing it."""
    trie = TrieBuilder()
    gates, words = [], []
    for event in add_annotated(trie, trace, comments, MAX_LATENT):
        gates.append(trie.ask_whole(event.gate, "gate"))
        words.append(trie.ask(event.comment, "comment"))
    with torch.no_grad():
        values = logprobs(policy, collate([[trie.build()]])).tolist()
    drawn, behaviour = [], 0.0
    for place, comment in zip(gates, comments, strict=True):
        p = explore.p_think(values[place])
        drawn.append(Gate(comment is not None, values[place], math.log(p if comment is not None else 1 - p)))
        behaviour += drawn[-1].behaviour_logprob
    rows = [values[at] for at in words]
    return Rollout(drawn, list(comments), rows, rows, [True] * len(comments)), behaviour + sum(map(sum, rows))  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", ["penalty", "bernoulli"])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_policy_gradient_of_explored_rollouts_is_that_of_the_enumerated_bound(bound: str, rate: float) -> None:
    """E_b of what an update is given, over all annotations, against autograd through E_q[sum of l_t less charges]."""
    kind = KINDS["leading"]
    trace = kind.trace([NEWLINE, 2], [NEWLINE, 3])
    settings = Ra3.model_validate({"bound": bound, "penalty": 0.3, "alpha": 0.8, "max_latent_tokens": MAX_LATENT})
    annotations = list(itertools.product(kind.latents, repeat=2))
    rng = np.random.default_rng(0)
    first = {str(latent): rng.normal() for latent in kind.latents}
    worth = np.array([[first[str(comments[0])], rng.normal()] for comments in annotations])

    policy = toy_policy(3)
    drawn = [annotated(policy, trace, comments, Exploration(rate, 0.5)) for comments in annotations]
    rollouts = [rollout for rollout, _ in drawn]
    b = np.exp([logprob for _, logprob in drawn])
    assert b.sum() == pytest.approx(1, abs=1e-5)
    paid = np.array([charges(rollout, [[], []], [False] * 2, settings) for rollout in rollouts])
    weights = importance_weights(rollouts, "trajectory", settings.estep.importance_cap)
    values = weighted_returns(worth - paid, weights, 1.0, None)
    expected = b @ values  # what a baseline is on average: it enters linearly

    tries = []
    for n, (rollout, comments) in enumerate(zip(rollouts, annotations, strict=True)):
        pair = np.array([values[n], expected])
        both = Weights(*(np.array([part[n], np.ones(2)]) for part in weights))
        group = Group(program(2), trace, [rollout] * 2, pair, pair[0], pair * 0, pair, both, pair)
        trie = TrieBuilder()
        for t, events in enumerate(add_annotated(trie, trace, comments, MAX_LATENT)):
            ask_decision(trie, events, group, 0, t, settings)
        tries.append(trie.build())
    batch = collate([[trie] for trie in tries])
    scale = torch.tensor([b[n] for n, trie in enumerate(tries) for _ in range(len(trie.targets))], dtype=torch.float32)
    loss = (scale * batch.coefficients * logprobs(policy, batch)).sum()
    ours = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(policy.model.parameters()))])

    policy = toy_policy(3)
    q = log_q(policy, trace, annotations).exp()
    penalties = torch.tensor([[0.3 * (comment is not None) for comment in comments] for comments in annotations])
    bound_of = torch.tensor(worth, dtype=torch.float32) - penalties
    if bound == "bernoulli":
        bound_of = bound_of - torch.stack([kls(policy, trace, comments, settings.alpha) for comments in annotations])
    exact_loss = (q * bound_of.sum(1)).sum()
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(exact_loss, list(policy.model.parameters()))])
    assert float(torch.cosine_similarity(ours, exact, dim=0)) > 0.9999
    torch.testing.assert_close(ours, exact, rtol=1e-2, atol=1e-4)


def kls(policy: Policy, trace: EncodedTrace, comments: Comments, alpha: float) -> Tensor:
    """[T] KL of each gate to its prior, with its graph."""
    trie = TrieBuilder()
    for event in add_annotated(trie, trace, comments, MAX_LATENT):
        trie.ask_whole(event.gate, "gate")
    g = logprobs(policy, collate([[trie.build()]])).exp()
    return g * (g / (1 - alpha)).log() + (1 - g) * ((1 - g) / alpha).log()


def test_a_comment_learnt_as_if_the_gate_stood_open_is_not_weighed_by_the_gate() -> None:
    kind = KINDS["leading"]
    trace = kind.trace([NEWLINE, 2])
    rollout, _ = annotated(kind.policy, trace, [[2]], Exploration(0.9, 1.0))
    weights = importance_weights([rollout] * 2, "trajectory", 10.0)
    worth = np.array([[2.0], [0.0]])
    group = Group(program(1), trace, [rollout] * 2, worth, worth[0], worth * 0, worth, weights, worth * weights.upto)
    coefficients = {}
    for how in ("policy", "open"):
        settings = Ra3.model_validate({"estep": {"comment_weight": how}, "max_latent_tokens": MAX_LATENT})
        trie = TrieBuilder()
        (events,) = add_annotated(trie, trace, [[2]], MAX_LATENT)
        ask_decision(trie, events, group, 0, 0, settings)
        coefficients[how] = trie.build().targets.coefficients.tolist()
    gate = rollout.gates[0]
    assert gate is not None
    ratio = math.exp(gate.logprob_think - gate.behaviour_logprob)
    assert ratio < 0.9
    assert coefficients["policy"] == pytest.approx([2 * ratio, 2 * ratio])
    assert coefficients["open"] == pytest.approx([2 * ratio, 2.0])
