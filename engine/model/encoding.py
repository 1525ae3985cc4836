"""Traces in tokens: each line, latent and prompt tokenised by itself, cut where the tokenizer has it (`boundary`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.corpora.traces import Annotated, IndentMode, Trace, latent_prefix, split_lead
from engine.model.boundary import LEADING, Boundary, mismatches
from engine.model.policy import Policy


@dataclass(frozen=True, slots=True)
class EncodedTrace:
    """A trace in tokens, each chunk tokenised by itself."""

    prompt: list[int]
    """The document separator and the prompt."""
    lines: list[list[int]]
    gates: list[list[int] | None]
    """For each line the tokens of its latent prefix; None where a latent may not start."""
    boundary: Boundary = LEADING
    """Where the chunks are cut."""
    end: tuple[int, ...] = ()
    """The document separator, which is imitated behind the last line; empty where it would end no completion."""


def encode_prompt(policy: Policy, prompt: str) -> list[int]:
    """The document separator and a prompt that ends without its newline, which is added where chunks trail theirs."""
    trails = policy.boundary.trailing and prompt
    return [*policy.bos, *policy.encode(prompt + "\n" if trails else prompt)]


def encode_comment(policy: Policy, text: str) -> list[int]:
    """A latent behind its prefix, with its newline where chunks trail theirs."""
    return policy.encode(text + "\n" if policy.boundary.trailing else text)


def comment_text(policy: Policy, ids: Sequence[int]) -> str:
    """The text of a latent behind its prefix, without the newline that may end it."""
    return policy.decode(ids).partition("\n")[0].removesuffix("\r")


def encode_trace(policy: Policy, trace: Trace, indent_mode: IndentMode) -> EncodedTrace:
    """Tokenise a trace.

    Where chunks lead with their newline, the first line of a trace without a prompt gets one before it, which leaves
    the program as it is and makes it an action like all others.

    Raises:
        ValueError: the trace has no prompt and the tokenizer no document separator: nothing to condition on.
    """
    prompt, *lines = _chunks(policy.boundary, trace)
    encoded = [*policy.bos, *policy.encode(prompt)]
    if not encoded:
        raise ValueError(f"trace {trace.id} has no prompt, and the tokenizer of {policy.name} no document separator")
    prefixes = [
        _prefix(policy, trace, t, indent_mode) if line.may_think else None for t, line in enumerate(trace.lines)
    ]
    gates = [None if prefix is None else policy.encode(prefix) for prefix in prefixes]
    end = tuple(token for token in policy.bos if token in policy.eos)
    return EncodedTrace(encoded, [policy.encode(line) for line in lines], gates, policy.boundary, end)


def _prefix(policy: Policy, trace: Trace, t: int, indent_mode: IndentMode) -> str:
    prefix = latent_prefix(trace.lines[t], indent_mode).removeprefix("\n")
    return prefix if policy.boundary.trailing else "\n" + prefix


def _chunks(boundary: Boundary, trace: Trace) -> list[str]:
    """The prompt, then each line, cut by ``boundary``."""
    parts = [split_lead(line.text) for line in trace.lines]
    if boundary.trailing:
        leads = [lead for lead, _ in parts] + ["\n"]
        bodies = [trace.prompt, *(body for _, body in parts)]
        return [body + lead for body, lead in zip(bodies, leads, strict=True)]
    return [trace.prompt, *((lead or "\n") + body for lead, body in parts)]


def rest_of(trace: EncodedTrace, comments: Sequence[list[int] | None], lines: int | None) -> EncodedTrace:
    """``trace`` behind its first lines, which ``comments`` annotate, as a trace of so many lines, or of all.

    A latent may stand before the first alone: what comes later is the joint event of no latent and the line.
    """
    done = list(trace.prompt)
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=False):
        if prefix and comment is not None:
            done += [*prefix, *comment, *trace.boundary.closing(comment)]
        done += ids
    t = len(comments)
    coming = trace.lines[t : None if lines is None else t + lines]
    return replace(trace, prompt=done, lines=coming, gates=[trace.gates[t], *[None] * (len(coming) - 1)])


def chunk_mismatches(policy: Policy, annotated: Annotated, indent_mode: IndentMode) -> tuple[int, int]:
    """How many chunk-wise tokens of an annotated trace are none of its text as a whole, and of how many."""
    trace = annotated.trace
    prompt, *lines = _chunks(policy.boundary, trace)
    chunks = [prompt]
    newline = "\n" if policy.boundary.trailing else ""
    for t, (line, latent) in enumerate(zip(lines, annotated.latents, strict=True)):
        if latent is not None:
            chunks += [_prefix(policy, trace, t, indent_mode), latent + newline]
        chunks.append(line)
    texts = policy.token_texts
    return mismatches(policy.encode, lambda token: len(texts[token]), chunks)
