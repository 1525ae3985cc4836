"""Trajectories scored: the log-likelihoods of lines and comments under a scorer, and the tries of q's update.

Shapes: G rollouts of a trace, T lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from engine.corpora.traces import Trace
from engine.decoding.latents import Rollout
from engine.methods.ra3.decisions import ask_decision
from engine.methods.ra3.rewards import (
    Floats,
    Group,
    charges,
    importance_weights,
    line_logprob,
    malformed,
    returns,
    weighted_returns,
)
from engine.model.encoding import EncodedTrace
from engine.model.events import AnnotatedEvents, Comments, LineEvents, add_annotated, add_bare
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Compute, Ra3
from engine.training.scoring import Asking, score, score_together


def score_group(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Group:
    """Log-likelihoods of the lines, bare and under each rollout's latents, and the charges."""
    (group,) = score_together(scorer, [ask_group(scorer, trace, encoded, rollouts, ra3, compute)], compute)
    return group


def ask_group(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Asking[Group]:
    """As `score_group`, for `score_together`."""
    annotations: list[Comments] = [[None] * len(encoded.lines), *(rollout.comments for rollout in rollouts)]
    placed = place_annotations(encoded, annotations, ra3.max_latent_tokens, compute.row_tokens)
    lines = [[ask_line(trie, event.line) for event in events] for trie, events in placed]
    comments = [[trie.ask(event.comment, "comment") for event in events] for trie, events in placed]
    tries = list(dict.fromkeys(trie for trie, _ in placed))
    scores = dict(zip(tries, (yield [trie.build() for trie in tries]), strict=True))
    values = [scores[trie] for trie, _ in placed]
    bare, *line_logprobs = [
        [read_line(row, at, ra3.line_logp) for at in places] for row, places in zip(values, lines, strict=True)
    ]
    judged = [[row[at] for at in places] for row, places in zip(values[1:], comments[1:], strict=True)]
    charges_GT = charge_rollouts(scorer, rollouts, judged, ra3)
    line_logprobs_GT = np.array(line_logprobs)
    rewards_GT = line_logprobs_GT - charges_GT
    weights = importance_weights(rollouts, "trajectory", ra3.estep.importance_cap)
    return Group(
        trace=trace,
        encoded=encoded,
        rollouts=rollouts,
        line_logprobs=line_logprobs_GT,
        bare_logprobs=np.array(bare),
        charges=charges_GT,
        returns=returns(rewards_GT, ra3.gamma, ra3.horizon),
        weights=weights,
        weighted_returns=weighted_returns(rewards_GT, weights, ra3.gamma, ra3.horizon),
    )


def charge_rollouts(
    scorer: Policy, rollouts: Sequence[Rollout], judged: Sequence[Sequence[Floats]], ra3: Ra3
) -> Floats:
    """[G, T] what each line is charged, from the log-probabilities of its comment's events under the scorer."""
    broken = [malformed(rollout, scorer.decode) for rollout in rollouts]
    return np.array([charges(*row, ra3) for row in zip(rollouts, judged, broken, strict=True)])


class LinePlaces(NamedTuple):
    """Where the targets of a line stand among those of its trie."""

    tokens: slice
    act: int | None
    """That it does not begin as a latent."""


def ask_line(trie: TrieBuilder, line: LineEvents) -> LinePlaces:
    """Ask for a line's tokens, and for what it is conditioned on."""
    act = trie.ask_whole(line.latent, "act", complement=True) if line.latent.nodes else None
    return LinePlaces(trie.ask(line.tokens, "line"), act)


def read_line(values: Floats, places: LinePlaces, how: Literal["mean", "sum"]) -> float:
    """l_t of a line from the log-probabilities of its trie's targets."""
    log_act = 0.0 if places.act is None else float(values[places.act])
    return line_logprob(values[places.tokens], how, log_act)


def place_annotations(
    encoded: EncodedTrace, annotations: Sequence[Comments], max_latent_tokens: int, row_tokens: int
) -> list[tuple[TrieBuilder, list[AnnotatedEvents]]]:
    """Put annotations of one trace into as few tries as hold ``row_tokens`` each; common beginnings are shared."""
    placed = []
    trie = TrieBuilder()
    for comments in annotations:
        latent_tokens = sum(len(ids) for ids in comments if ids)
        most = len(encoded.prompt) + sum(map(len, encoded.lines)) + 3 * sum(len(g or ()) for g in encoded.gates)
        if len(trie) and len(trie) + most + latent_tokens > row_tokens:
            trie = TrieBuilder()
        placed.append((trie, add_annotated(trie, encoded, comments, max_latent_tokens)))
    return placed


def policy_gradient(group: Group, ra3: Ra3, compute: Compute) -> list[Trie]:
    """The tries of one group's update of q."""
    comments = [rollout.comments for rollout in group.rollouts]
    placed = place_annotations(group.encoded, comments, ra3.max_latent_tokens, compute.row_tokens)
    for g, (trie, events) in enumerate(placed):
        for t, event in enumerate(events):
            ask_decision(trie, event, group, g, t, ra3)
    return [trie.build() for trie in dict.fromkeys(trie for trie, _ in placed) if trie.n_targets]


def bare_logprobs(policy: Policy, traces: Sequence[EncodedTrace], ra3: Ra3, compute: Compute) -> list[Floats]:
    """[T] l_t of each trace, without latents."""
    tries, places = [], []
    for encoded in traces:
        trie = TrieBuilder()
        _, lines = add_bare(trie, encoded)
        places.append([ask_line(trie, line) for line in lines])
        tries.append(trie.build())
    return [
        np.array([read_line(values, at, ra3.line_logp) for at in lines])
        for values, lines in zip(score(policy, tries, compute), places, strict=True)
    ]
