"""Traces in tries: the events of lines, comments and gates, whose log-probabilities can be asked for.

A gate is the event that a latent's whole prefix comes. A line is conditioned on not beginning as a latent does: under
ACT the gate has paid for that already, and behind a latent a second one may not stand. A comment has no newline in it;
its end is the event that the line ends, and so is that of a line where chunks trail their newline. Where they lead with
it, gates and lines are conditioned on "a new line starts". So the probabilities of all annotations and all lines sum to
one, whatever the vocabulary merges (tests/engine/methods/test_sums.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.model.encoding import EncodedTrace
from engine.model.policy import Support
from engine.model.tries import NEW_LINE, Events, Trie, TrieBuilder

Comments = Sequence[Sequence[int] | None]
"""For each line its latent's tokens behind the prefix, without a newline that leads the next chunk; None for ACT."""


class LineEvents(NamedTuple):
    """The events of an expert's line."""

    tokens: Events
    """Its tokens, the last as an end of the line where chunks trail their newline."""
    latent: Events
    """That a latent's prefix comes in its place; empty where none may."""


class AnnotatedEvents(NamedTuple):
    """The events of one line of an annotated trace."""

    gate: Events
    """That the latent's whole prefix comes (THINK); empty where a latent may not start."""
    comment: Events
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    line: LineEvents


def add_annotated(
    trie: TrieBuilder, trace: EncodedTrace, comments: Comments, max_latent_tokens: int
) -> list[AnnotatedEvents]:
    """Put an annotated trace into ``trie`` and return the events of its lines.

    A comment of ``max_latent_tokens`` that has not ended was cut, so its end was no choice and is no event.
    """
    parent = trie.add(trace.prompt)[-1]
    events = []
    for t, comment in enumerate(comments):
        gate, words, parent = _add_latent(trie, trace, t, parent, comment, max_latent_tokens)
        line, parent = _add_line(trie, trace, t, parent)
        events.append(AnnotatedEvents(gate, words, line))
    return events


class LatentEvents(NamedTuple):
    """The events of one latent drawn from the bare trace, and of the lines behind it."""

    gate: Events
    """That the latent's whole prefix comes."""
    comment: Events
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    lines: tuple[LineEvents, ...]
    """The expert's next lines, bare, one after the other; none for ACT, whose lines are those of the bare trace."""


def add_bare(trie: TrieBuilder, trace: EncodedTrace) -> tuple[list[int], list[LineEvents]]:
    """Put a bare trace into ``trie``; returns the node before each line, and each line's events."""
    before, lines = [trie.add(trace.prompt)[-1]], []
    for t in range(len(trace.lines)):
        line, last = _add_line(trie, trace, t, before[-1])
        before.append(last)
        lines.append(line)
    return before[:-1], lines


def add_latent(
    trie: TrieBuilder,
    trace: EncodedTrace,
    t: int,
    before: int,
    comment: Sequence[int] | None,
    max_latent_tokens: int,
    lines_ahead: int,
) -> LatentEvents:
    """Put the latent of line ``t`` behind node ``before``, and behind it at most ``lines_ahead`` bare lines."""
    gate, words, parent = _add_latent(trie, trace, t, before, comment, max_latent_tokens)
    lines = []
    if comment is not None:
        for k in range(t, min(t + lines_ahead, len(trace.lines))):
            line, parent = _add_line(trie, trace, k, parent)
            lines.append(line)
    return LatentEvents(gate, words, tuple(lines))


def annotated_trie(trace: EncodedTrace, comments: Comments) -> Trie:
    """One annotated trace, to be imitated: every token after the prompt is a target of coefficient 1.

    A latent's prefix is labelled ``gate``, its text ``comment``, the expert's lines ``code``, the end of the document
    ``end``.
    """
    trie = TrieBuilder()
    parent = trie.add(trace.prompt)[-1]
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=True):
        if prefix and comment is not None:
            events, parent = trie.chain(prefix, parent)
            trie.ask(events, "gate")
            events, parent = trie.chain([*comment, *trace.boundary.closing(comment)], parent)
            trie.ask(events, "comment")
        events, parent = trie.chain(ids, parent)
        trie.ask(events, "code")
    if trace.end:
        events, parent = trie.chain(trace.end, parent)
        trie.ask(events, "end")
    return trie.build()


def bare_trie(trace: EncodedTrace) -> Trie:
    """A trace without latents, every token of its lines a target."""
    return annotated_trie(replace(trace, end=()), [None] * len(trace.lines))


def gate_events(trie: TrieBuilder, trace: EncodedTrace, t: int, before: int) -> Events:
    """That the prefix of a latent of line ``t`` comes behind node ``before``; none where it may not."""
    prefix = trace.gates[t]
    return trie.follow(prefix, before, first=_first(trace)) if prefix else Events()


def _first(trace: EncodedTrace) -> Support:
    """What the first token of a gate or a line is renormalised over."""
    return Support.ANY if trace.boundary.trailing else Support.NEWLINE


def _add_line(trie: TrieBuilder, trace: EncodedTrace, t: int, before: int) -> tuple[LineEvents, int]:
    """The events of a line, and its last node."""
    (nodes, tokens, supports), last = trie.chain(trace.lines[t], before, first=_first(trace))
    events = Events(nodes, [*tokens[:-1], trace.boundary.event(tokens[-1])], supports)
    return LineEvents(events, gate_events(trie, trace, t, before)), last


def _add_latent(
    trie: TrieBuilder, trace: EncodedTrace, t: int, before: int, comment: Sequence[int] | None, max_latent_tokens: int
) -> tuple[Events, Events, int]:
    """The events of a gate and of the comment behind it, and the node before the line."""
    gate, prefix = gate_events(trie, trace, t, before), trace.gates[t]
    if not prefix or comment is None:
        return gate, Events(), before
    opened = trie.add(prefix, before)[-1]
    (nodes, tokens, supports), last = trie.chain(comment, opened, Support.COMMENT, Support.COMMENT)
    if trace.boundary.trailing:
        ending = [*tokens[:-1], *map(trace.boundary.event, tokens[-1:])]
        return gate, Events(nodes, ending, supports), [last, *trie.add(trace.boundary.closing(comment), last)][-1]
    if len(comment) < max_latent_tokens:
        nodes, tokens, supports = [*nodes, last], [*tokens, NEW_LINE], [*supports, Support.COMMENT]
    return gate, Events(nodes, tokens, supports), last
