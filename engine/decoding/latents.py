"""Mixed decoding: at each line a gate is drawn, after THINK a comment, and the expert's line is forced."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from engine.decoding.beginnings import common
from engine.decoding.decoder import Answer, Decoder, Row, Turn
from engine.decoding.drawing import draw
from engine.model.boundary import Boundary
from engine.model.encoding import EncodedTrace
from engine.model.policy import Policy, Support


@dataclass(frozen=True, slots=True)
class Gate:
    """A decision between THINK and ACT."""

    think: bool
    logprob_think: float
    """log P(THINK) under q, in nats: of the whole latent prefix, given that a new line starts."""
    behaviour_logprob: float
    """log-probability of the decision taken, under the gate it was drawn from, exploration included."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The latents drawn for one trace; all lists have an entry a line."""

    gates: list[Gate | None] = field(default_factory=list)
    """None where a latent may not start."""
    comments: list[list[int] | None] = field(default_factory=list)
    """Tokens of the latent, without its prefix and its newline; None for ACT."""
    comment_logprobs: list[list[float]] = field(default_factory=list)
    """Under q at temperature 1 over `Support.COMMENT`: one a token, then that of the end, where it ended by itself."""
    behaviour_logprobs: list[list[float]] = field(default_factory=list)
    """The same events under the tempered distribution they were drawn from."""
    ended: list[bool] = field(default_factory=list)
    """False where the comment was cut at its most tokens."""
    tokens_generated: int = 0
    """Events drawn in comments."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """The behaviour gate: P(THINK) = (1 - rate) * g + rate * prior, so that a gate that is shut is still tried.

    g is the gate at ``temperature``, which divides its log-odds.
    """

    rate: float
    prior: float
    temperature: float = 1.0

    def p_think(self, logprob_think: float) -> float:
        """P(THINK) of the behaviour gate, from log P(THINK) under q."""
        g = math.exp(logprob_think)
        if self.temperature != 1:
            odds = (logprob_think - math.log(-math.expm1(min(logprob_think, -1e-12)))) / self.temperature
            g = 1 / (1 + math.exp(min(-odds, 700.0)))
        return (1 - self.rate) * g + self.rate * self.prior


def annotate(  # noqa: PLR0913 - the knobs of the E-step
    policy: Policy,
    traces: Sequence[EncodedTrace],
    seeds: Sequence[int],
    *,
    max_latent_tokens: int,
    explore: float,
    explore_prior: float = 0.5,
    gate_temperature: float = 1.0,
    comment_temperature: float = 1.0,
    batch_size: int = 32,
    on_done: Callable[[int, Rollout], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Rollout]:
    """Draw the latents of traces: at each line the gate, after THINK a comment; the expert's lines are forced.

    Args:
        policy: q.
        traces: give one several times for several rollouts of it.
        seeds: one a trace.
        max_latent_tokens: where a comment is cut; at least 1.
        explore: how much of the behaviour gate is the prior.
        explore_prior: P(THINK) of that prior.
        gate_temperature: of the rest of the behaviour gate.
        comment_temperature: of the comments' events; 0 is greedy.
        batch_size: traces decoded side by side.
        on_done: called with a trace's index and its rollout, in the order they end.
        should_stop: asked before each step; once true, what has ended by then is returned.
    """
    exploration = Exploration(explore, explore_prior, gate_temperature)
    rows = [
        _annotate(trace, seed, max_latent_tokens, exploration, end=policy.vocab_size)
        for trace, seed in zip(traces, seeds, strict=True)
    ]
    events = comment_events(policy)
    decoder = Decoder(
        policy, rows, lambda logits, uniforms: draw(events(logits), uniforms, comment_temperature), batch_size
    )
    return decoder.run(on_done, should_stop)


def _annotate(
    trace: EncodedTrace, seed: int, max_latent_tokens: int, exploration: Exploration, end: int
) -> Row[Rollout]:
    """One rollout, as a row of the decoder. `feed` is what is decided but not fed yet, `drop` the probe to forget."""
    random = np.random.default_rng(seed)
    rollout = Rollout()
    feed, drop, events = list(trace.prompt), 0, 0
    for line, prefix in zip(trace.lines, trace.gates, strict=True):
        gate, comment, reused = None, Comment(), 0
        if prefix is not None:
            answer = yield Turn([*feed, *prefix[:-1]], drop, score=prefix)
            gate = decide(answer.logprob, random.random(), exploration)
            reused = 0 if gate.think else common(prefix[:-1], line[:-1])  # the line often begins as the probe does
            feed, drop = ([prefix[-1]], 0) if gate.think else ([], len(prefix) - 1 - reused)
        if gate is not None and gate.think:
            comment = yield from _draw_comment(trace.boundary, feed, random, max_latent_tokens, end)
            feed = comment.unfed(trace.boundary)
            events += len(comment.logprobs)
        note(rollout, gate, comment)
        feed = [*feed, *line[reused:]]
    return replace(rollout, tokens_generated=events)


def decide(logprob_think: float, uniform: float, exploration: Exploration) -> Gate:
    """Draw a gate's decision from the behaviour gate, at a uniform number in [0, 1)."""
    logprob_think = min(logprob_think, 0.0)  # rounding
    p_think = exploration.p_think(logprob_think)
    think = uniform < p_think
    return Gate(think, logprob_think, math.log(p_think) if think else math.log1p(-p_think))


@dataclass(slots=True)
class Comment:
    """A comment while it is drawn."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    behaviour: list[float] = field(default_factory=list)
    ended: bool = False

    def add(self, drawn: Answer, end: int, boundary: Boundary) -> None:
        """Take in one drawn event. ``end`` ends the comment, and so does a token that holds its newline."""
        self.logprobs.append(drawn.logprob)
        self.behaviour.append(drawn.behaviour_logprob)
        self.ended = drawn.token == end or drawn.token in boundary.classes
        if drawn.token != end:
            self.ids.append(drawn.token)

    def unfed(self, boundary: Boundary) -> list[int]:
        """Tokens of it that have not been fed when it is drawn, and the newline behind one that was cut."""
        last = [] if self.ended and not boundary.trailing else self.ids[-1:]
        return [*last, *boundary.closing(self.ids)]


def _draw_comment(
    boundary: Boundary, feed: list[int], random: np.random.Generator, max_tokens: int, end: int
) -> Row[Comment]:
    """A comment behind ``feed``."""
    comment = Comment()
    while len(comment.ids) < max_tokens and not comment.ended:
        comment.add((yield Turn(feed, uniform=random.random())), end, boundary)
        feed = comment.ids[-1:]
    return comment


def note(rollout: Rollout, gate: Gate | None, comment: Comment) -> None:
    """Append the latent of one more line."""
    rollout.gates.append(gate)
    rollout.comments.append(comment.ids if gate is not None and gate.think else None)
    rollout.comment_logprobs.append(comment.logprobs)
    rollout.behaviour_logprobs.append(comment.behaviour)
    rollout.ended.append(comment.ended)


def comment_events(policy: Policy) -> Callable[[Tensor], Tensor]:
    """Turns logits [R, V] into those of a comment's events, [R, V + 1]. What may not stand inside has -inf.

    Where chunks lead with their newline, column V is the end of the comment: whichever newline token would come. Where
    they trail it, each class of tokens that end a line stands at its representative, and nothing at column V.
    """
    ends = policy.line_ends
    outside = ~policy.supports[Support.COMMENT]
    outside[ends.tokens] = True
    places = (
        ends.representatives if policy.boundary.trailing else torch.tensor([policy.vocab_size], device=policy.device)
    )

    def events(logits: Tensor) -> Tensor:
        inside = torch.nn.functional.pad(logits.masked_fill(outside, -torch.inf), (0, 1), value=-torch.inf)
        return inside.index_copy(1, places, ends.logmass(logits))

    return events
