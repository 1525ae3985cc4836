"""Sampling from a policy: free completions, and the mixed decoding of the E-step.

Each sequence draws from its own generator, seeded by its own seed, so what it draws depends on seed and prompt, never
on its neighbours or on the batch size (beyond the rounding of the matrix products).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from engine.decoder import Answer, Decoder, Row, Turn, common, draw
from engine.policy import Policy, Support
from engine.traces import IndentMode, Trace, latent_prefix


class StopReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """A stop sequence came."""
    EOS = "eos"
    """The model ended the document."""
    LENGTH = "length"
    """The token limit was reached."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a policy wrote behind a prompt."""

    ids: list[int]
    """Every token drawn, with the one that ended it."""
    text: str
    """Cut before the stop sequence or the end of the document."""
    logprobs: list[float]
    """One a token, in nats, under the model at temperature 1."""
    stop: StopReason
    n_forward: int
    """Forward passes it took part in."""


def generate(  # noqa: PLR0913 - the knobs of sampling
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    stop: Sequence[str] | Sequence[Sequence[str]] = (),
    batch_size: int = 32,
    on_done: Callable[[int, Completion], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Completion]:
    """Complete prompts.

    Args:
        policy: who writes.
        prompts: token ids of each, the document separator included; none may be empty.
        seeds: one a prompt.
        max_new_tokens: limit of each completion.
        temperature: 0 is greedy.
        top_p: nucleus; 1 is the whole vocabulary.
        stop: texts that end a completion, for all prompts or one sequence of them a prompt.
        batch_size: sequences decoded side by side.
        on_done: called with a prompt's index and its completion, in the order they end.
        should_stop: asked before each step; once true, what has ended by then is returned.

    Raises:
        ValueError: a prompt is empty.
    """
    if empty := [index for index, prompt in enumerate(prompts) if not prompt]:
        raise ValueError(f"prompt {empty[0]} is empty: there is nothing to go on from, not even a document separator")
    stops = _stops_by_prompt(stop, len(prompts))
    rows = [
        _complete(policy, prompt, seed, max_new_tokens, texts)
        for prompt, seed, texts in zip(prompts, seeds, stops, strict=True)
    ]
    decoder = Decoder(policy, rows, lambda logits, uniforms: draw(logits, uniforms, temperature, top_p), batch_size)
    return decoder.run(on_done, should_stop)


def _stops_by_prompt(stop: Sequence[str] | Sequence[Sequence[str]], n_prompts: int) -> list[list[str]]:
    shared = [text for text in stop if isinstance(text, str)]
    return [shared] * n_prompts if len(shared) == len(stop) else [list(texts) for texts in stop]


def _complete(
    policy: Policy, prompt: Sequence[int], seed: int, max_new_tokens: int, stops: Sequence[str]
) -> Row[Completion]:
    """One completion, as a row of the decoder."""
    random = np.random.default_rng(seed)
    feed, ids, logprobs = list(prompt), list[int](), list[float]()
    # A stop sequence that the newest token completes began within as many tokens as it has bytes.
    window = max((len(text.encode()) for text in stops), default=0)
    reason = StopReason.LENGTH
    while len(ids) < max_new_tokens:
        drawn = yield Turn(feed, uniform=random.random())
        feed = [drawn.token]
        ids.append(drawn.token)
        logprobs.append(drawn.logprob)
        if drawn.token in policy.eos:
            reason = StopReason.EOS
            break
        if window and _first_stop(policy.decode(ids[-window:]), stops) is not None:
            reason = StopReason.STOP
            break
    text = policy.decode(ids[:-1] if reason is StopReason.EOS else ids)
    return Completion(ids, text[: _first_stop(text, stops)], logprobs, reason, len(ids))


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop sequence begins."""
    return min((at for at in map(text.find, stops) if at >= 0), default=None)


@dataclass(frozen=True, slots=True)
class EncodedTrace:
    """A trace in tokens, each chunk tokenised by itself."""

    prompt: list[int]
    """The document separator and the prompt."""
    lines: list[list[int]]
    gates: list[list[int] | None]
    """For each line the tokens of its latent prefix; None where a latent may not start."""


def encode_trace(policy: Policy, trace: Trace, indent_mode: IndentMode) -> EncodedTrace:
    """Tokenise a trace.

    The first line of a trace without a prompt gets a newline before it, which leaves the program as it is and makes it
    an action like all others.

    Raises:
        ValueError: the trace has no prompt and the tokenizer no document separator: nothing to condition on.
    """
    prompt = [*policy.bos, *policy.encode(trace.prompt)]
    if not prompt:
        raise ValueError(f"trace {trace.id} has no prompt, and the tokenizer of {policy.name} no document separator")
    return EncodedTrace(
        prompt,
        [policy.encode(_led(line.text)) for line in trace.lines],
        [policy.encode(_led(latent_prefix(line, indent_mode))) if line.may_think else None for line in trace.lines],
    )


def _led(text: str) -> str:
    return text if text.startswith("\n") else "\n" + text


def chunk_mismatches(policy: Policy, trace: Trace) -> int:
    """How many of a bare trace's chunk-wise tokens are not tokens of its text as a whole.

    0 where the tokenizer cuts before every newline, as those of code models do.
    """
    chunks = [trace.prompt, *(line.text for line in trace.lines)]
    whole = set(_token_spans(policy, policy.encode("".join(chunks))))
    chunkwise = _token_spans(policy, [token for chunk in chunks for token in policy.encode(chunk)])
    return sum(span not in whole for span in chunkwise)


def _token_spans(policy: Policy, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Begin of each token, in characters of single tokens, and the token."""
    at = 0
    for token in ids:
        yield at, token
        at += len(policy.token_texts[token])


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
        gate, comment, kept = None, Comment(), 0
        if prefix is not None:
            asked = yield Turn([*feed, *prefix[:-1]], drop, score=prefix)
            gate = decide(asked.logprob, random.random(), exploration)
            kept = 0 if gate.think else common(prefix[:-1], line[:-1])  # the line often begins as the probe does
            feed, drop = ([prefix[-1]], 0) if gate.think else ([], len(prefix) - 1 - kept)
        if gate is not None and gate.think:
            while len(comment.ids) < max_latent_tokens and not comment.ended:
                drawn = yield Turn(feed, uniform=random.random())
                comment.add(drawn, end)
                feed = comment.ids[-1:] if not comment.ended else []
                events += 1
        note(rollout, gate, comment)
        feed = [*feed, *line[kept:]]
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

    def add(self, drawn: Answer, end: int) -> None:
        """Take in one drawn event; the event ``end`` ends the comment."""
        self.logprobs.append(drawn.logprob)
        self.behaviour.append(drawn.behaviour_logprob)
        if drawn.token == end:
            self.ended = True
        else:
            self.ids.append(drawn.token)


def note(rollout: Rollout, gate: Gate | None, comment: Comment) -> None:
    """Append the latent of one more line."""
    rollout.gates.append(gate)
    rollout.comments.append(comment.ids if gate is not None and gate.think else None)
    rollout.comment_logprobs.append(comment.logprobs)
    rollout.behaviour_logprobs.append(comment.behaviour)
    rollout.ended.append(comment.ended)


def comment_events(policy: Policy) -> Callable[[Tensor], Tensor]:
    """Turns logits [R, V] into those of a comment's events, [R, V + 1].

    Column V is the end of the comment: whichever newline token would come. Tokens that may not stand inside have -inf.
    """
    newline = policy.supports[Support.NEWLINE]
    outside = newline | ~policy.supports[Support.COMMENT]
    newlines = newline.nonzero()[:, 0]

    def events(logits: Tensor) -> Tensor:
        end = logits[:, newlines].logsumexp(-1, keepdim=True)
        return torch.cat([logits.masked_fill(outside, -torch.inf), end], dim=-1)

    return events
