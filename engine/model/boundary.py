"""Where text may be cut into chunks that are tokenised by themselves, and which tokens end a line.

A vocabulary merges a newline with what stands behind it (GPT-2, SmolLM2, StarCoder) or with what stands before it
(Llama-3 and Qwen2.5 have a token for a bracket, a colon and a newline). In the first kind chunks *lead* with their
newline; in the second they *trail* it, and a prompt ends with its own. Cut the other way, a tenth of the tokens are
none that the text has.

Where chunks trail their newline, a line's last token may say more than its end: a bracket too, or blank lines. So the
end is an event over all tokens that have the same text before their first newline: a *class*. Where chunks lead with
it there is one class, the tokens that begin with a newline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.corpora.traces import split_lead

ENDS_LINE = re.compile(r"([^\n\r\0]*?)(?:[ \t]*\r?\n)+")
"""A token that ends a line: what it says of the line, then newlines and blank lines alone."""

PROBE = '''import os

def area(self, radius: float = 2.5) -> float:
    """Area of a circle.

    >>> area(1)
    3.14
    """
    if radius < 0:
        raise ValueError(f"radius {radius!r} is negative")

    values = [
        os.path.join("a", 'b'), {"k": (1, 20)},
    ]
    # find the factor
    while not self.done and len(values) >= 3:
\tself.step()

    return 3.14159 * radius ** 2


class Circle(Shape):
    x = None; y = "日本"
'''
"""Text on which both kinds are measured."""
MOST_MISMATCHES = 0.01
"""Share of chunk-wise tokens that may be none of the text's own."""


@dataclass(frozen=True, eq=False)
class Boundary:
    """How the text of traces is cut for a tokenizer."""

    trailing: bool = False
    """Do chunks end with their newline? Else they lead with it."""
    classes: Mapping[int, int] = field(default_factory=dict)
    """For each token that ends a line its class, where chunks trail their newline."""
    newline: Sequence[int] = ()
    """Tokens of a newline by itself, which end a comment that was cut, where chunks trail it."""
    shares: tuple[float, float] = (0.0, 1.0)
    """Of the tokens of `PROBE` those that are none of the text's own, where chunks lead and where they trail."""

    @property
    def words(self) -> str:
        """The kind and what was measured, as a person reads it."""
        kind = "behind" if self.trailing else "before"
        leading, trailing = self.shares
        return f"text is cut {kind} newlines (not the text's own tokens: {leading:.1%} before, {trailing:.1%} behind)"

    def event(self, token: int) -> int:
        """What stands for ``token`` as the last of a chunk: its class, as ``-1 - class``, where it ends a line."""
        known = self.classes.get(token)
        return token if known is None else -1 - known

    def closing(self, comment: Sequence[int]) -> Sequence[int]:
        """What is fed behind a comment that was cut, where the next chunk does not lead with its newline."""
        ended = comment and comment[-1] in self.classes
        return self.newline if self.trailing and not ended else ()


LEADING = Boundary()


@dataclass(frozen=True, eq=False)
class LineEnds:
    """The tokens that end a line, by class. K classes, M the size of the largest, n tokens."""

    members: Tensor
    """int64 [K, M] tokens of each class, filled up with -1."""
    tokens: Tensor
    """int64 [n] all of them, class by class."""
    classes: Tensor
    """int64 [n] class of each."""
    representatives: Tensor
    """int64 [K] the token of each class that has the least behind its newline: what is fed for it."""

    @classmethod
    def of(cls, by_text: Iterable[Sequence[int]], device: torch.device) -> LineEnds:
        """From the tokens of each class, the one to feed first."""
        rows = list(by_text)
        widest = max(map(len, rows), default=0)
        members = torch.tensor([[*row, *[-1] * (widest - len(row))] for row in rows], dtype=torch.long)
        tokens = torch.tensor([token for row in rows for token in row], dtype=torch.long)
        classes = torch.tensor([k for k, row in enumerate(rows) for _ in row], dtype=torch.long)
        return cls(*(part.to(device) for part in (members, tokens, classes, members[:, 0])))

    def logmass(self, logits: Tensor) -> Tensor:
        """[R, K] log of the summed exponentials of each class, from logits [R, V]."""
        own = logits[:, self.tokens]
        most = own.amax(-1, keepdim=True)
        sums = torch.zeros(len(own), len(self.members), device=own.device)
        return sums.index_add(1, self.classes, (own - most).exp()).log() + most

    def logmass_of(self, logits: Tensor, classes: Tensor) -> Tensor:
        """[C] the same for one class a row."""
        members = self.members[classes]
        own = logits.gather(1, members.clamp(min=0))
        return own.masked_fill(members < 0, -torch.inf).logsumexp(1)


def classes_of(texts: Sequence[str], *, trailing: bool) -> list[list[int]]:
    """Tokens that end a line, by what they say of it; class 0 says nothing. In each the shortest stands first."""
    if not trailing:
        return [[token for token, text in enumerate(texts) if text.startswith(("\n", "\r\n"))]]
    by_text: dict[str, list[int]] = {"": []}
    for token, text in enumerate(texts):
        match = ENDS_LINE.fullmatch(text)
        if match:
            by_text.setdefault(match[1], []).append(token)
    return [sorted(tokens, key=lambda token: (len(texts[token]), token)) for tokens in by_text.values() if tokens]


def mismatches(
    encode: Callable[[str], list[int]], length: Callable[[int], int], chunks: Sequence[str]
) -> tuple[int, int]:
    """How many tokens of ``chunks``, tokenised each by itself, are none of their text as a whole, and of how many.

    ``length`` gives that of a token's text.
    """
    whole = set(_spans(encode("".join(chunks)), length))
    chunkwise = list(_spans((token for chunk in chunks for token in encode(chunk)), length))
    return sum(span not in whole for span in chunkwise), len(chunkwise)


def _spans(ids: Iterable[int], length: Callable[[int], int]) -> Iterable[tuple[int, int]]:
    """Begin of each token, in characters of single tokens, and the token."""
    at = 0
    for token in ids:
        yield at, token
        at += length(token)


def measured(encode: Callable[[str], list[int]], length: Callable[[int], int]) -> tuple[bool, tuple[float, float]]:
    """Does the trailing kind fit, and which share of the tokens of `PROBE` each kind, leading first, gets wrong."""
    rows = PROBE.split("\n")
    leading = [rows[0], *("\n" + row for row in rows[1:])]
    shares = []
    for chunks in (_without_blank_chunks(leading, trailing=False), _without_blank_chunks(leading, trailing=True)):
        wrong, total = mismatches(encode, length, chunks)
        shares.append(wrong / total)
    leads, trails = shares
    return trails < leads, (leads, trails)


def _without_blank_chunks(leading: Sequence[str], *, trailing: bool) -> list[str]:
    """Lines with the blank ones before them (``"\\n\\n    x"``), or, where chunks trail, with those behind them."""
    joined: list[str] = []
    blank = ""
    for chunk in leading:
        if chunk.strip():
            joined.append(blank + chunk)
            blank = ""
        else:
            blank += chunk
    if not trailing:
        return joined
    parts = [split_lead(chunk) for chunk in joined]
    leads = [lead for lead, _ in parts[1:]] + ["\n"]
    return [body + lead for (_, body), lead in zip(parts, leads, strict=True)]
