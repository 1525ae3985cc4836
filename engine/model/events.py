"""Traces in tries: the events of lines, comments and gates, whose log-probabilities can be asked for.

Lines and gates are conditioned on "a new line starts", a comment on having no newline in it, its end being the event
that any new line starts. So the probabilities of what may come after a line sum to one whatever the vocabulary merges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.model.encoding import EncodedTrace
from engine.model.policy import Support
from engine.model.tries import NEW_LINE, Events, Trie, TrieBuilder

Comments = Sequence[Sequence[int] | None]
"""For each line its latent's tokens, without the prefix and the newline; None where the choice was ACT."""


class LineEvents(NamedTuple):
    """The events of one line of an annotated trace."""

    gate: Events
    """That the latent's whole prefix comes (THINK); empty where a latent may not start."""
    comment: Events
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    line: Events
    """The expert's tokens."""


def add_annotated(
    trie: TrieBuilder, trace: EncodedTrace, comments: Comments, max_latent_tokens: int
) -> list[LineEvents]:
    """Put an annotated trace into ``trie`` and return the events of its lines.

    A comment of ``max_latent_tokens`` was cut, so its end was no choice and is no event.
    """
    parent = trie.add(trace.prompt)[-1]
    events = []
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=True):
        gate = trie.follow(prefix, parent, first=Support.NEWLINE) if prefix else Events()
        words = Events()
        if prefix and comment is not None:
            opened = trie.add(prefix, parent)[-1]
            words, parent = _add_comment(trie, comment, opened, ended=len(comment) < max_latent_tokens)
        line, parent = trie.chain(ids, parent, first=Support.NEWLINE)
        events.append(LineEvents(gate, words, line))
    return events


class LatentEvents(NamedTuple):
    """The events of one latent drawn from the bare trace, and of the lines behind it."""

    gate: Events
    """That the latent's whole prefix comes."""
    comment: Events
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    lines: tuple[Events, ...]
    """The expert's next lines, bare, one after the other; none for ACT, whose lines are those of the bare trace."""


def add_bare(trie: TrieBuilder, trace: EncodedTrace) -> tuple[list[int], list[Events]]:
    """Put a bare trace into ``trie``; returns the node before each line, and each line's events."""
    before, lines = [trie.add(trace.prompt)[-1]], []
    for ids in trace.lines:
        line, last = trie.chain(ids, before[-1], first=Support.NEWLINE)
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
    prefix = trace.gates[t]
    if prefix is None:
        return LatentEvents(Events(), Events(), ())
    gate = trie.follow(prefix, before, first=Support.NEWLINE)
    if comment is None:
        return LatentEvents(gate, Events(), ())
    opened = trie.add(prefix, before)[-1]
    words, parent = _add_comment(trie, comment, opened, ended=len(comment) < max_latent_tokens)
    lines = []
    for ids in trace.lines[t : t + lines_ahead]:
        line, parent = trie.chain(ids, parent, first=Support.NEWLINE)
        lines.append(line)
    return LatentEvents(gate, words, tuple(lines))


def annotated_trie(trace: EncodedTrace, comments: Comments) -> Trie:
    """One annotated trace, to be imitated: every token after the prompt is a target of coefficient 1.

    A latent's prefix is labelled ``gate``, its text ``comment``, the expert's lines ``code``.
    """
    trie = TrieBuilder()
    parent = trie.add(trace.prompt)[-1]
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=True):
        if prefix and comment is not None:
            events, parent = trie.chain(prefix, parent)
            trie.ask(events, "gate")
            events, parent = trie.chain(comment, parent)
            trie.ask(events, "comment")
        events, parent = trie.chain(ids, parent)
        trie.ask(events, "code")
    return trie.build()


def bare_trie(trace: EncodedTrace) -> Trie:
    """A trace without latents, every token of its lines a target."""
    return annotated_trie(trace, [None] * len(trace.lines))


def _add_comment(trie: TrieBuilder, ids: Sequence[int], parent: int, *, ended: bool) -> tuple[Events, int]:
    events, parent = trie.chain(ids, parent, Support.COMMENT, Support.COMMENT)
    if ended:
        nodes, tokens, supports = events
        events = Events([*nodes, parent], [*tokens, NEW_LINE], [*supports, Support.COMMENT])
    return events, parent
