"""Token sequences with branches, packed into rows, and the log-probabilities of what is asked of them.

A `Tree` is a trie of token sequences: sequences that begin alike share their nodes, so the rollouts of one prompt cost
their common prefix once. A node attends to its ancestors and to nothing else, which is what keeps packed neighbours and
branches from seeing each other. A `Target` asks for the log-probability of an event at some nodes: of one token, of a
run of tokens, or that a run of tokens does *not* come. The trainer knows no more of an algorithm than these.

Shapes: B rows, L nodes a row, P distinct pieces, Q uses of them, N targets, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.model.policy import Policy, Support

NEW_LINE = -1
"""In place of a token: any token that begins a new line."""

LOGIT_ROWS = 512
"""Positions whose logits are held at a time; the backward pass computes them again."""


class Piece(NamedTuple):
    """The event that ``token`` comes after ``node``, its probability renormalised over ``support``."""

    node: int
    token: int
    support: Support = Support.ANY


@dataclass(frozen=True, slots=True)
class Target:
    """An event whose log-probability is wanted, and what a trainer does with it."""

    pieces: tuple[Piece, ...]
    """The log-probability is the sum over these."""
    label: str
    """What it belongs to in metrics: ``code``, ``comment``, ``gate``."""
    coefficient: float = 1.0
    """Weight in the loss: 1 to imitate, an advantage in a policy gradient."""
    old: float | None = None
    """Log-probability when it was drawn; makes the loss a clipped ratio."""
    complement: bool = False
    """Ask for log(1 - p) instead: the event does not come."""


@dataclass(slots=True)
class Tree:
    """A trie of token sequences; node 0 has no parent."""

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def extend(self, ids: Sequence[int], parent: int = -1) -> list[int]:
        """Put ``ids`` behind ``parent``, along nodes that are there already; returns the node of each."""
        nodes = []
        for token in ids:
            node = self._children.get((parent, token))
            if node is None:
                node = self._children[parent, token] = len(self.ids)
                self.ids.append(token)
                self.parents.append(parent)
            nodes.append(node)
            parent = node
        return nodes

    def follow(self, ids: Sequence[int], parent: int, first: Support = Support.ANY) -> tuple[Piece, ...]:
        """The event that ``ids`` come behind ``parent``, the first renormalised over ``first``.

        The last of ``ids`` gets no node of its own here: only its prediction is asked for.
        """
        before = [parent, *self.extend(ids[:-1], parent)]
        supports = [first] + [Support.ANY] * (len(ids) - 1)
        return tuple(map(Piece, before, ids, supports))


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows as tensors."""

    input_ids: Tensor
    """[B, L]"""
    position_ids: Tensor
    """[B, L], a node's depth in its tree."""
    mask: Tensor
    """[B, 1, L, L] bool: may the node of axis 2 attend to that of axis 3?"""
    rows: Tensor
    """[P] row of each piece."""
    nodes: Tensor
    """[P] node of each piece, in its row."""
    tokens: Tensor
    """[P] token, or NEW_LINE."""
    supports: Tensor
    """[P]"""
    uses: Tensor
    """[Q] index of the piece that is used: one that several targets ask for is computed once."""
    owners: Tensor
    """[Q] index of the target that uses it."""
    targets: list[Target]
    """N targets, in the order of the trees."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in self.__slots__ if name != "targets"}
        return Batch(**moved, targets=self.targets)

    @property
    def complement(self) -> Tensor:
        """[N] bool."""
        return torch.tensor([t.complement for t in self.targets], dtype=torch.bool, device=self.rows.device)

    @property
    def coefficients(self) -> Tensor:
        """[N] float32."""
        return torch.tensor([t.coefficient for t in self.targets], device=self.rows.device)

    @property
    def old(self) -> Tensor:
        """[N] float32; NaN where the target has no old log-probability."""
        return torch.tensor([math.nan if t.old is None else t.old for t in self.targets], device=self.rows.device)


def pack(sizes: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Put trees, by their sizes, into rows of at most ``row_tokens`` nodes: first fit, longest first.

    Returns the indices of each row's trees. A tree of more than ``row_tokens`` has a row of its own.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        at = next((i for i, left in enumerate(room) if left >= sizes[index]), None)
        if at is None:
            rows.append([index])
            room.append(row_tokens - sizes[index])
        else:
            rows[at].append(index)
            room[at] -= sizes[index]
    return rows


def collate(rows: Sequence[Sequence[Tree]]) -> Batch:
    """Tensors of packed rows, padded to the longest; a pad attends to itself alone."""
    length = max(sum(len(tree.ids) for tree in row) for row in rows)
    ids = np.zeros((len(rows), length), dtype=np.int64)
    positions = np.zeros_like(ids)
    mask = np.zeros((len(rows), length, length), dtype=bool)
    mask[:, range(length), range(length)] = True
    pieces: dict[tuple[int, int, int, int], int] = {}
    uses: list[tuple[int, int]] = []
    targets: list[Target] = []
    for r, trees in enumerate(rows):
        start = 0
        for tree in trees:
            stop = start + len(tree.ids)
            ids[r, start:stop] = tree.ids
            mask[r, start:stop, start:stop] = ancestors = _ancestors(tree.parents)
            positions[r, start:stop] = ancestors.sum(1) - 1
            for target in tree.targets:
                for piece in target.pieces:
                    key = (r, start + piece.node, piece.token, int(piece.support))
                    uses.append((pieces.setdefault(key, len(pieces)), len(targets)))
                targets.append(target)
            start = stop
    row, node, token, support = torch.tensor(list(pieces), dtype=torch.long).reshape(-1, 4).unbind(1)
    used, owner = torch.tensor(uses, dtype=torch.long).reshape(-1, 2).unbind(1)
    return Batch(
        input_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(positions),
        mask=torch.from_numpy(mask)[:, None],
        rows=row,
        nodes=node,
        tokens=token,
        supports=support,
        uses=used,
        owners=owner,
        targets=targets,
    )


def _ancestors(parents: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """[n, n] bool: is the node of axis 1 the node of axis 0, or above it? A parent stands before its children."""
    table = np.eye(len(parents), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            table[node] |= table[parent]
    return table


def logprobs(policy: Policy, batch: Batch) -> Tensor:
    """[N] log-probability of each target, in nats, float32, with its gradient where gradients are on."""
    return target_logprobs(policy, batch, policy.hidden(batch.input_ids, batch.position_ids, batch.mask))


def target_logprobs(policy: Policy, batch: Batch, hidden: Tensor) -> Tensor:
    """[N] log-probabilities as in `logprobs`, from the hidden states [B, L, D] of the batch's nodes."""
    picked = hidden[batch.rows, batch.nodes]
    chunks = zip(*(torch.split(column, LOGIT_ROWS) for column in (picked, batch.tokens, batch.supports)), strict=True)
    if torch.is_grad_enabled():
        pieces = [checkpoint(_piece_logprobs, policy, *chunk, use_reentrant=False) for chunk in chunks]
    else:
        pieces = [_piece_logprobs(policy, *chunk) for chunk in chunks]
    total = torch.zeros(len(batch.targets), device=picked.device)
    total = total.index_add(0, batch.owners, torch.cat(pieces)[batch.uses])
    return torch.where(batch.complement, log1mexp(total), total)


def _piece_logprobs(policy: Policy, hidden: Tensor, tokens: Tensor, supports: Tensor) -> Tensor:
    """[C] log-probabilities of pieces from their hidden states [C, D]."""
    logits = policy.logits(hidden)
    chosen = logits.gather(1, tokens.clamp(min=0)[:, None])[:, 0]
    breaks = tokens == NEW_LINE
    if breaks.any():
        new_line = logits[:, policy.supports[Support.NEWLINE]].logsumexp(1)
        chosen = torch.where(breaks, new_line, chosen)
    if (supports != Support.ANY).any():
        logits = logits.masked_fill(~policy.supports[supports], float("-inf"))
    return chosen - logits.logsumexp(1)


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x <= 0, exact near 0 and far from it (Mächler, 2012); x is kept below -1e-6."""
    x = x.clamp(max=-1e-6)
    near = x > -0.6931472
    # Each branch sees only the values it is good for: a discarded infinity would still poison the gradient.
    return torch.where(
        near,
        torch.log(-torch.expm1(torch.where(near, x, -0.5))),
        torch.log1p(-torch.exp(torch.where(near, -1.0, x))),
    )
