"""Latents drawn from the bare trace, scored, and the tries of q's update: the bare trace is computed once for them all.

Shapes: G rollouts of a trace, T lines. Branch (g, t) is the latent that rollout g drew before line t of the bare trace.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.corpora.traces import Trace
from engine.decoding.latents import Rollout
from engine.methods.ra3.decisions import ask_decision
from engine.methods.ra3.rewards import Group, branch_return, importance_weights
from engine.methods.ra3.scoring import LinePlaces, ask_line, charge_rollouts, read_line
from engine.model.encoding import EncodedTrace
from engine.model.events import LatentEvents, LineEvents, add_bare, add_latent
from engine.model.policy import Policy
from engine.model.tries import Trie, TrieBuilder
from engine.recipe.sections import Compute, Ra3
from engine.training.scoring import Asking, score_together


class BranchTrie:
    """A bare trace in a trie of its own, with some of its branches."""

    def __init__(self, encoded: EncodedTrace) -> None:
        self.trie = TrieBuilder()
        before, self.lines = add_bare(self.trie, encoded)
        self.before: list[int] = before
        """Node before each line."""
        self.branches: dict[tuple[int, int], LatentEvents] = {}
        """By (g, t)."""


def place_branches(
    encoded: EncodedTrace, rollouts: Sequence[Rollout], max_latent_tokens: int, lines_ahead: int, row_tokens: int
) -> list[BranchTrie]:
    """Every branch with the ``lines_ahead`` lines behind it, in as few tries as hold ``row_tokens`` nodes each."""
    tries = [BranchTrie(encoded)]
    for t, prefix in enumerate(encoded.gates):
        ahead = len(prefix or ()) + sum(map(len, encoded.lines[t : t + lines_ahead]))
        ahead += sum(len(gate or ()) for gate in encoded.gates[t : t + lines_ahead])
        for g, rollout in enumerate(rollouts):
            comment = rollout.comments[t]
            most = ahead + len(comment) if comment is not None else len(prefix or ())
            if tries[-1].branches and len(tries[-1].trie) + most > row_tokens:
                tries.append(BranchTrie(encoded))
            part = tries[-1]
            part.branches[g, t] = add_latent(
                part.trie, encoded, t, part.before[t], comment, max_latent_tokens, lines_ahead
            )
    return tries


def score_branches(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Group:
    """Log-likelihoods of the lines, bare and behind each branch's latent alone, the charges and the returns."""
    (group,) = score_together(scorer, [ask_branches(scorer, trace, encoded, rollouts, ra3, compute)], compute)
    return group


def ask_branches(
    scorer: Policy, trace: Trace, encoded: EncodedTrace, rollouts: list[Rollout], ra3: Ra3, compute: Compute
) -> Asking[Group]:
    """As `score_branches`, for `score_together`."""
    reach = ra3.horizon or len(encoded.lines)
    tries = place_branches(encoded, rollouts, ra3.max_latent_tokens, reach, compute.row_tokens)
    bare, comments, ahead = yield from _ask_tries(tries, ra3)
    judged = [[comments[g, t] for t in range(len(bare))] for g in range(len(rollouts))]
    charges_GT = charge_rollouts(scorer, rollouts, judged, ra3)
    line_logprobs_GT, returns_GT = np.empty_like(charges_GT), np.empty_like(charges_GT)
    for g, t in np.ndindex(*charges_GT.shape):
        lines = ahead[g, t] or bare[t : t + reach]
        line_logprobs_GT[g, t] = lines[0]
        returns_GT[g, t] = branch_return(lines, float(charges_GT[g, t]), ra3.gamma)
    weights = importance_weights(rollouts, "branch", ra3.estep.importance_cap)
    return Group(
        trace=trace,
        encoded=encoded,
        rollouts=rollouts,
        line_logprobs=line_logprobs_GT,
        bare_logprobs=np.array(bare),
        charges=charges_GT,
        returns=returns_GT,
        weights=weights,
        weighted_returns=returns_GT * weights.upto,
    )


def _ask_tries(
    tries: Sequence[BranchTrie], ra3: Ra3
) -> Asking[tuple[list[float], dict[tuple[int, int], NDArray[np.float64]], dict[tuple[int, int], list[float]]]]:
    """l_t of the bare lines; of each branch the log-probabilities of its comment's events, and l of its lines."""
    bare_at = _ask(tries[0], tries[0].lines)
    comments_at = [{key: part.trie.ask(b.comment, "comment") for key, b in part.branches.items()} for part in tries]
    lines_at = [{key: _ask(part, b.lines) for key, b in part.branches.items()} for part in tries]
    scores = yield [part.trie.build() for part in tries]

    def lines(values: NDArray[np.float64], places: Sequence[LinePlaces]) -> list[float]:
        return [read_line(values, at, ra3.line_logp) for at in places]

    comments = {key: values[at] for values, part in zip(scores, comments_at, strict=True) for key, at in part.items()}
    ahead = {key: lines(values, at) for values, part in zip(scores, lines_at, strict=True) for key, at in part.items()}
    return lines(scores[0], bare_at), comments, ahead


def _ask(part: BranchTrie, lines: Sequence[LineEvents]) -> list[LinePlaces]:
    return [ask_line(part.trie, line) for line in lines]


def branch_gradient(group: Group, ra3: Ra3, compute: Compute) -> list[Trie]:
    """The tries of one group's update of q: the gradient flows from all branches through the bare trace."""
    tries = place_branches(group.encoded, group.rollouts, ra3.max_latent_tokens, 0, compute.row_tokens)
    for part in tries:
        for (g, t), events in part.branches.items():
            ask_decision(part.trie, events, group, g, t, ra3)
    return [part.trie.build() for part in tries if part.trie.n_targets]
