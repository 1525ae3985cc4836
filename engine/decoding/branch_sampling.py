"""Branch rollouts: the latents of all states of bare traces, drawn side by side from one shared trunk.

In `trajectory` rollouts (`engine.decoding.latents.annotate`) a latent sees the ones before it, so a trace is walked
line by line. Here each line's latent is drawn from the bare program before it. One pass computes the trunk: the bare
traces, and behind each state the prefix that opens a latent there, as a branch. It answers every gate and predicts
every comment's first token; then all comments grow together, one token each at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from engine.decoding.branch_cache import BranchCache, forward_branches
from engine.decoding.decoder import Answer, draw
from engine.decoding.latents import Comment, Exploration, Gate, Rollout, comment_events, decide, note
from engine.model.encoding import EncodedTrace
from engine.model.packing import Target, Tree, collate, target_logprobs
from engine.model.passes import predicting
from engine.model.policy import Policy, Support


class _State(NamedTuple):
    """A line's start, before which a latent may stand."""

    rollout: int
    line: int
    opened: int
    """Trunk node of the latent prefix's last token."""


@dataclass(slots=True)
class _Branch:
    """A latent while it is drawn."""

    gate: Gate
    random: np.random.Generator
    opened: int
    comment: Comment = field(default_factory=Comment)


def annotate_branches(  # noqa: PLR0913 - the knobs of the E-step
    policy: Policy,
    traces: Sequence[EncodedTrace],
    seeds: Sequence[int],
    *,
    max_latent_tokens: int,
    explore: float,
    explore_prior: float = 0.5,
    gate_temperature: float = 1.0,
    comment_temperature: float = 1.0,
    trunk_tokens: int = 2048,
    batch_size: int = 64,
    should_stop: Callable[[], bool] | None = None,
) -> list[Rollout]:
    """Draw a latent for each line of ``traces``, each from the bare program before it.

    Args:
        policy: q.
        traces: give one several times for several rollouts of it; its trunk is computed once.
        seeds: one a trace.
        max_latent_tokens: where a comment is cut; at least 1.
        explore: how much of the behaviour gate is the prior.
        explore_prior: P(THINK) of that prior.
        gate_temperature: of the rest of the behaviour gate.
        comment_temperature: of the comments' events; 0 is greedy.
        trunk_tokens: nodes that one trunk holds; a longer trace has a trunk of its own.
        batch_size: branches whose next events are drawn at a time.
        should_stop: asked before each step; once true, what has ended by then is returned.
    """
    exploration = Exploration(explore, explore_prior, gate_temperature)
    events = comment_events(policy)

    def drawing(logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return draw(events(logits), uniforms, comment_temperature)

    rollouts: list[Rollout] = []
    with predicting(policy, packed=True):
        for part in _by_trunk(traces, trunk_tokens):
            grove = _Grove(policy, [traces[i] for i in part])
            branches = grove.decide([seeds[i] for i in part], exploration)
            thinking = [branch for branch in branches.values() if branch.gate.think]
            if not grove.grow(thinking, drawing, max_latent_tokens, batch_size, should_stop):
                break
            rollouts += [_rollout(traces[i], r, branches) for r, i in enumerate(part)]
    return rollouts


def _by_trunk(traces: Sequence[EncodedTrace], trunk_tokens: int) -> Iterator[list[int]]:
    """Indices of traces that share a trunk, in order; equal neighbours cost their tokens once."""
    part: list[int] = []
    held = 0
    for i, trace in enumerate(traces):
        again = part and trace == traces[part[-1]]
        size = 0 if again else len(trace.prompt) + sum(map(len, trace.lines)) + sum(len(g or ()) for g in trace.gates)
        if part and held + size > trunk_tokens:
            yield part
            part, held = [], 0
        part.append(i)
        held += size
    if part:
        yield part


def _rollout(trace: EncodedTrace, number: int, branches: dict[tuple[int, int], _Branch]) -> Rollout:
    """The branches of one rollout, line by line."""
    rollout = Rollout()
    for line in range(len(trace.lines)):
        branch = branches.get((number, line))
        note(rollout, branch.gate if branch else None, branch.comment if branch else Comment())
    return replace(rollout, tokens_generated=sum(map(len, rollout.comment_logprobs)))


class _Grove:
    """Traces as one trunk in the cache, and the hidden states behind which their branches grow."""

    def __init__(self, policy: Policy, traces: Sequence[EncodedTrace]) -> None:
        self._policy = policy
        tree = Tree()
        self._states = [state for r, trace in enumerate(traces) for state in _plant(tree, r, trace)]
        batch = collate([[tree]]).to(policy.device)
        self._seen, self._depths = batch.mask[0, 0], batch.position_ids[0]
        self._cache = DynamicCache()
        with torch.inference_mode():
            hidden = policy.hidden(batch.input_ids, batch.position_ids, batch.mask, self._cache)
            self._logprobs = target_logprobs(policy, batch, hidden).tolist()
            self._hidden = hidden[0]

    def decide(self, seeds: Sequence[int], exploration: Exploration) -> dict[tuple[int, int], _Branch]:
        """The gate of each state, by (rollout, line)."""
        branches = {}
        for state, logprob in zip(self._states, self._logprobs, strict=True):
            random = np.random.default_rng([seeds[state.rollout], state.line])
            gate = decide(logprob, random.random(), exploration)
            branches[state.rollout, state.line] = _Branch(gate, random, state.opened)
        return branches

    @torch.inference_mode()
    def grow(
        self,
        branches: Sequence[_Branch],
        drawing: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
        max_latent_tokens: int,
        batch_size: int,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """Draw the comments of ``branches``; False when ``should_stop`` ended it before they did."""
        opened = torch.tensor([branch.opened for branch in branches], dtype=torch.long, device=self._seen.device)
        cache = BranchCache(self._cache, self._seen[opened], self._depths[opened] + 1)
        hidden = self._hidden[opened]
        growing = list(branches)
        while growing:
            if should_stop and should_stop():
                return False
            _draw_next(self._policy, growing, hidden, drawing, batch_size)
            alive = [i for i, b in enumerate(growing) if not b.comment.ended and len(b.comment.ids) < max_latent_tokens]
            if len(alive) < len(growing):
                cache.keep(alive)
                growing = [growing[i] for i in alive]
            if growing:
                hidden = forward_branches(self._policy, cache, [branch.comment.ids[-1] for branch in growing])
        return True


def _plant(tree: Tree, rollout: int, trace: EncodedTrace) -> Iterator[_State]:
    """Put a bare trace into ``tree`` and its latent prefixes beside it, each gate a target."""
    parent = tree.extend(trace.prompt)[-1]
    for line, (ids, prefix) in enumerate(zip(trace.lines, trace.gates, strict=True)):
        if prefix is not None:
            tree.targets.append(Target(tree.follow(prefix, parent, first=Support.NEWLINE), "gate"))
            yield _State(rollout, line, tree.extend(prefix, parent)[-1])
        parent = tree.extend(ids, parent)[-1]


def _draw_next(
    policy: Policy,
    branches: Sequence[_Branch],
    hidden: Tensor,
    drawing: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    batch_size: int,
) -> None:
    """Give each branch one more event, predicted from its hidden state in ``hidden`` [R, D]."""
    for i in range(0, len(branches), batch_size):
        part = branches[i : i + batch_size]
        uniforms = np.array([branch.random.random() for branch in part], dtype=np.float64)
        logits = policy.logits(hidden[i : i + batch_size])
        drawn = drawing(logits, torch.from_numpy(uniforms).to(logits.device))
        columns = (column.tolist() for column in drawn)
        for branch, token, logprob, behaviour in zip(part, *columns, strict=True):
            branch.comment.add(Answer(logprob, token, behaviour), policy.vocab_size)
