"""Traces as trees of events: a line, a comment, a gate, each an event whose log-probability can be asked for.

Lines and gates are conditioned on "a new line starts", a comment on having no newline in it, its end being the event
that any new line starts. So the probabilities of what may come after a line sum to one whatever the vocabulary merges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.model.encoding import EncodedTrace
from engine.model.packing import NEW_LINE, Piece, Target, Tree
from engine.model.policy import Support

Comments = Sequence[Sequence[int] | None]
"""For each line its latent's tokens, without the prefix and the newline; None where the choice was ACT."""


class LineEvents(NamedTuple):
    """The events of one line of an annotated trace."""

    gate: tuple[Piece, ...]
    """That the latent's whole prefix comes (THINK); empty where a latent may not start."""
    comment: tuple[Piece, ...]
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    line: tuple[Piece, ...]
    """The expert's tokens."""


def grow(tree: Tree, trace: EncodedTrace, comments: Comments, max_latent_tokens: int) -> list[LineEvents]:
    """Put an annotated trace into ``tree`` and return the events of its lines.

    A comment of ``max_latent_tokens`` was cut, so its end was no choice and is no event.
    """
    parent = tree.extend(trace.prompt)[-1]
    events = []
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=True):
        gate = tree.follow(prefix, parent, first=Support.NEWLINE) if prefix else ()
        told: tuple[Piece, ...] = ()
        if prefix and comment is not None:
            opened = tree.extend(prefix, parent)[-1]
            told, parent = _comment(tree, comment, opened, ended=len(comment) < max_latent_tokens)
        line, parent = _chain(tree, ids, parent, first=Support.NEWLINE)
        events.append(LineEvents(gate, told, line))
    return events


class Branch(NamedTuple):
    """The events of one latent drawn from the bare trace, and of the lines behind it."""

    gate: tuple[Piece, ...]
    """That the latent's whole prefix comes."""
    comment: tuple[Piece, ...]
    """Its tokens, then its end where it ended by itself; empty for ACT."""
    lines: tuple[tuple[Piece, ...], ...]
    """The expert's next lines, bare, one after the other; empty for ACT, whose lines are the trunk's."""


def trunk(tree: Tree, trace: EncodedTrace) -> tuple[list[int], list[tuple[Piece, ...]]]:
    """Put a bare trace into ``tree``; returns the node before each line, and each line's event."""
    before, lines = [tree.extend(trace.prompt)[-1]], []
    for ids in trace.lines:
        line, last = _chain(tree, ids, before[-1], first=Support.NEWLINE)
        before.append(last)
        lines.append(line)
    return before[:-1], lines


def branch(
    tree: Tree,
    trace: EncodedTrace,
    t: int,
    before: int,
    comment: Sequence[int] | None,
    max_latent_tokens: int,
    lines_ahead: int,
) -> Branch:
    """Grow the latent of line ``t`` behind trunk node ``before``, and behind it at most ``lines_ahead`` bare lines."""
    prefix = trace.gates[t]
    if prefix is None:
        return Branch((), (), ())
    gate = tree.follow(prefix, before, first=Support.NEWLINE)
    if comment is None:
        return Branch(gate, (), ())
    opened = tree.extend(prefix, before)[-1]
    told, parent = _comment(tree, comment, opened, ended=len(comment) < max_latent_tokens)
    lines = []
    for ids in trace.lines[t : t + lines_ahead]:
        line, parent = _chain(tree, ids, parent, first=Support.NEWLINE)
        lines.append(line)
    return Branch(gate, told, tuple(lines))


def imitate(trace: EncodedTrace, comments: Comments) -> Tree:
    """The tree of one annotated trace whose every token after the prompt is a target of coefficient 1.

    A latent's prefix is labelled ``gate``, its text ``comment``, the expert's lines ``code``.
    """
    tree = Tree()
    parent = tree.extend(trace.prompt)[-1]
    for ids, prefix, comment in zip(trace.lines, trace.gates, comments, strict=True):
        if prefix and comment is not None:
            pieces, parent = _chain(tree, [*prefix, *comment], parent)
            tree.targets += singles(pieces[: len(prefix)], "gate") + singles(pieces[len(prefix) :], "comment")
        pieces, parent = _chain(tree, ids, parent)
        tree.targets += singles(pieces, "code")
    return tree


def bare(trace: EncodedTrace) -> Tree:
    """The tree of a trace without latents, every token of its lines a target."""
    return imitate(trace, [None] * len(trace.lines))


def singles(pieces: Iterable[Piece], label: str) -> list[Target]:
    """A target a piece."""
    return [Target((piece,), label) for piece in pieces]


def _chain(
    tree: Tree, ids: Sequence[int], parent: int, first: Support = Support.ANY, rest: Support = Support.ANY
) -> tuple[tuple[Piece, ...], int]:
    """Put ``ids`` behind ``parent``: the event of each token, and the last node."""
    nodes = tree.extend(ids, parent)
    supports = [first] + [rest] * (len(ids) - 1)
    return tuple(map(Piece, [parent, *nodes[:-1]], ids, supports)), nodes[-1]


def _comment(tree: Tree, ids: Sequence[int], parent: int, *, ended: bool) -> tuple[tuple[Piece, ...], int]:
    pieces: tuple[Piece, ...] = ()
    if ids:
        pieces, parent = _chain(tree, ids, parent, Support.COMMENT, Support.COMMENT)
    return pieces + ((Piece(parent, NEW_LINE, Support.COMMENT),) if ended else ()), parent
