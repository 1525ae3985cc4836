"""Branch rollouts: the latents of all states of bare traces, drawn side by side from one pass over these.

In `trajectory` rollouts (`engine.decoding.latents.annotate`) a latent sees the ones before it, so a trace is walked
line by line. Here each line's latent is drawn from the bare program before it. One pass computes the bare traces and,
behind each state, the prefix that opens a latent there: it answers every gate, and predicts every comment's first
token. Then all comments are drawn together, a token each at a time.
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
from engine.decoding.decoder import Answer, Drawing
from engine.decoding.drawing import draw
from engine.decoding.latents import Comment, Exploration, Gate, Rollout, comment_events, decide, note
from engine.model.encoding import EncodedTrace
from engine.model.events import gate_events
from engine.model.logprobs import target_logprobs
from engine.model.passes import predicting
from engine.model.policy import Policy
from engine.model.transfers import fetched, sent, sent_together
from engine.model.tries import TrieBuilder, collate


class _State(NamedTuple):
    """A line's start, before which a latent may stand."""

    rollout: int
    line: int
    opened: int
    """Node of the latent prefix's last token."""


@dataclass(slots=True)
class _Latent:
    """A latent while it is drawn."""

    gate: Gate
    random: np.random.Generator
    opened: int
    """Place of the node it is drawn behind."""
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
    row_tokens: int = 2048,
    batch_size: int = 64,
    should_stop: Callable[[], bool] | None = None,
) -> list[Rollout]:
    """Draw a latent for each line of ``traces``, each from the bare program before it.

    Args:
        policy: q.
        traces: give one several times for several rollouts of it; it is computed once.
        seeds: one a trace.
        max_latent_tokens: where a comment is cut; at least 1.
        explore: how much of the behaviour gate is the prior.
        explore_prior: P(THINK) of that prior.
        gate_temperature: of the rest of the behaviour gate.
        comment_temperature: of the comments' events; 0 is greedy.
        row_tokens: nodes of the bare traces that are computed together; a longer trace is computed alone.
        batch_size: branches whose next events are drawn at a time.
        should_stop: asked before each step; once true, what has ended by then is returned.
    """
    exploration = Exploration(explore, explore_prior, gate_temperature)
    events = comment_events(policy)

    def drawing(logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return draw(events(logits), uniforms, comment_temperature)

    rollouts: list[Rollout] = []
    with predicting(policy, packed=True):
        for part in _by_row(traces, row_tokens):
            bare = _BareTraces(policy, [traces[i] for i in part])
            latents = bare.decide([seeds[i] for i in part], exploration)
            thinking = [latent for latent in latents.values() if latent.gate.think]
            if not bare.draw_comments(thinking, drawing, max_latent_tokens, batch_size, should_stop):
                break
            rollouts += [_rollout(traces[i], r, latents) for r, i in enumerate(part)]
    return rollouts


def _by_row(traces: Sequence[EncodedTrace], row_tokens: int) -> Iterator[list[int]]:
    """Indices of traces that are computed together, in order; equal neighbours cost their tokens once."""
    part: list[int] = []
    tokens = 0
    for i, trace in enumerate(traces):
        again = part and trace == traces[part[-1]]
        size = 0 if again else len(trace.prompt) + sum(map(len, trace.lines)) + sum(len(g or ()) for g in trace.gates)
        if part and tokens + size > row_tokens:
            yield part
            part, tokens = [], 0
        part.append(i)
        tokens += size
    if part:
        yield part


def _rollout(trace: EncodedTrace, number: int, latents: dict[tuple[int, int], _Latent]) -> Rollout:
    """The latents of one rollout, line by line."""
    rollout = Rollout()
    for line in range(len(trace.lines)):
        latent = latents.get((number, line))
        note(rollout, latent.gate if latent else None, latent.comment if latent else Comment())
    return replace(rollout, tokens_generated=sum(map(len, rollout.comment_logprobs)))


class _BareTraces:
    """Bare traces in the cache, and the hidden states behind which their latents are drawn."""

    def __init__(self, policy: Policy, traces: Sequence[EncodedTrace]) -> None:
        self._policy = policy
        trie = TrieBuilder()
        states = [state for r, trace in enumerate(traces) for state in _add_states(trie, r, trace)]
        places = trie.places()
        self._states = [state._replace(opened=int(places[state.opened])) for state in states]
        batch = collate([[trie.build()]]).to(policy.device)
        self._visible, self._depths = batch.mask[0, 0], batch.position_ids[0]
        self._cache = DynamicCache()
        with torch.inference_mode():
            hidden = policy.hidden(batch.input_ids, batch.position_ids, batch.mask, self._cache)
            self._logprobs = fetched([target_logprobs(policy, batch, hidden)])[0].tolist()
            self._hidden = hidden[0]

    def decide(self, seeds: Sequence[int], exploration: Exploration) -> dict[tuple[int, int], _Latent]:
        """The gate of each state, by (rollout, line)."""
        latents = {}
        for state, logprob in zip(self._states, self._logprobs, strict=True):
            random = np.random.default_rng([seeds[state.rollout], state.line])
            gate = decide(logprob, random.random(), exploration)
            latents[state.rollout, state.line] = _Latent(gate, random, state.opened)
        return latents

    @torch.inference_mode()
    def draw_comments(
        self,
        latents: Sequence[_Latent],
        drawing: Drawing,
        max_latent_tokens: int,
        batch_size: int,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """Draw the comments of ``latents``; False when ``should_stop`` ended it before they did."""
        (opened,) = sent_together([[latent.opened for latent in latents]], self._visible.device)
        cache = BranchCache(self._cache, self._visible[opened], self._depths[opened] + 1)
        hidden = self._hidden[opened]
        open_latents = list(latents)
        while open_latents:
            if should_stop and should_stop():
                return False
            _draw_next(self._policy, open_latents, hidden, drawing, batch_size)
            going_on = [i for i, latent in enumerate(open_latents) if _goes_on(latent.comment, max_latent_tokens)]
            if len(going_on) < len(open_latents):
                cache.keep(going_on)
                open_latents = [open_latents[i] for i in going_on]
            if open_latents:
                hidden = forward_branches(self._policy, cache, [latent.comment.ids[-1] for latent in open_latents])
        return True


def _goes_on(comment: Comment, max_latent_tokens: int) -> bool:
    return not comment.ended and len(comment.ids) < max_latent_tokens


def _add_states(trie: TrieBuilder, rollout: int, trace: EncodedTrace) -> Iterator[_State]:
    """Put a bare trace into ``trie`` and its latent prefixes beside it, each gate a target."""
    parent = trie.add(trace.prompt)[-1]
    for line, (ids, prefix) in enumerate(zip(trace.lines, trace.gates, strict=True)):
        if prefix is not None:
            trie.ask_whole(gate_events(trie, trace, line, parent), "gate")
            yield _State(rollout, line, trie.add(prefix, parent)[-1])
        parent = trie.add(ids, parent)[-1]


def _draw_next(policy: Policy, latents: Sequence[_Latent], hidden: Tensor, drawing: Drawing, batch_size: int) -> None:
    """Give each latent one more event, predicted from its hidden state in ``hidden`` [R, D].

    Logits are held for ``batch_size`` of them at a time; the events of all come over in one piece.
    """
    uniforms = torch.tensor([latent.random.random() for latent in latents], dtype=torch.float64)
    numbers = torch.split(sent(uniforms, hidden.device), batch_size)
    parts = zip(torch.split(hidden, batch_size), numbers, strict=True)
    drawn = [drawing(policy.logits(part), own) for part, own in parts]
    columns = (column.tolist() for column in fetched([torch.cat(column) for column in zip(*drawn, strict=True)]))
    for latent, token, logprob, behaviour in zip(latents, *columns, strict=True):
        latent.comment.add(Answer(logprob, int(token), behaviour), policy.vocab_size, policy.boundary)
