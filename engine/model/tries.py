"""Token sequences that share their beginnings, as flat arrays, and what is asked of them, packed into rows.

A `Trie` holds token sequences; those that begin alike share nodes, so the rollouts of one prompt cost their common
prefix once. A node attends to its ancestors and to nothing else, which is what keeps packed neighbours and branches
from seeing each other. Nodes stand in depth-first order, the descendants of a node right behind it: node q attends to
node k where ``k <= q <= last[k]``, packing is concatenation, and an attention mask is one comparison of two vectors.

An *event* is that a token comes behind a node. A *target* asks for the log-probability of an event, of a run of events,
or that a run does *not* come, and says what a trainer does with it. The trainer knows no more of an algorithm.

Shapes: n nodes of a trie, E events, N targets; B rows, L nodes a row, P distinct events of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.policy import Support
from engine.model.transfers import sent

NEW_LINE = -1
"""In place of a token: any token that says nothing but that the line ends. ``-1 - k``: any token of class k that ends
it (`boundary`)."""
_CODES = 1 << 31
"""Above the classes and tokens there can be."""

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Targets:
    """What is asked of a trie: N targets over E events, those of a target in a run."""

    nodes: Ints
    """[E] node behind which each event comes."""
    tokens: Ints
    """[E] token that comes, or a class of them."""
    supports: NDArray[np.int8]
    """[E] `Support` over which its probability is renormalised."""
    owners: Ints
    """[E] target that each event belongs to; its log-probability is the sum over them."""
    complement: NDArray[np.bool_]
    """[N] is log(1 - p) asked for instead: that the events do not come?"""
    coefficients: Floats
    """[N] weight in the loss: 1 to imitate, an advantage in a policy gradient."""
    old: Floats
    """[N] log-probability when it was drawn, which makes the loss a clipped ratio; NaN where there is none."""
    labels: NDArray[np.uint8]
    """[N] index in ``names`` of what it belongs to in metrics."""
    names: tuple[str, ...]
    """Such as ``code``, ``comment``, ``gate``."""
    sequences: Ints
    """[S] how many targets each sequence has, one behind the other: those that were asked for together."""
    reference: Floats
    """[N] log-probability under a policy that is not to be left far behind; empty where there is none."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Trie:
    """Token sequences, their nodes in depth-first order."""

    tokens: Ints
    """[n]"""
    parents: Ints
    """[n] node before each; -1 for the first of a sequence."""
    depths: Ints
    """[n] nodes before it in its sequence: its position."""
    last: Ints
    """[n] its last descendant, itself where it has none."""
    targets: Targets

    def __len__(self) -> int:
        return len(self.tokens)


class Events(NamedTuple):
    """A run of events of a trie that is being built."""

    nodes: Sequence[int] = ()
    tokens: Sequence[int] = ()
    supports: Sequence[Support] = ()


class TrieBuilder:
    """Makes a `Trie` of sequences added one after the other; its nodes are numbered in the order they were added."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._children: dict[tuple[int, int], int] = {}
        self._events: list[Events] = []
        self._owners: list[int] = []
        self._targets: list[tuple[str, float, float, bool]] = []
        self._sequences: list[int] = []

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def n_targets(self) -> int:
        """N so far."""
        return len(self._targets)

    def add(self, ids: Iterable[int], parent: int = -1) -> list[int]:
        """Put ``ids`` behind ``parent``, along nodes that are there already; returns the node of each."""
        nodes = []
        for token in ids:
            node = self._children.get((parent, token))
            if node is None:
                node = self._children[parent, token] = len(self._tokens)
                self._tokens.append(token)
                self._parents.append(parent)
            nodes.append(node)
            parent = node
        return nodes

    def chain(
        self, ids: Sequence[int], parent: int, first: Support = Support.ANY, rest: Support = Support.ANY
    ) -> tuple[Events, int]:
        """Put ``ids`` behind ``parent``: the event of each, and the last node there is then."""
        *before, last = [parent, *self.add(ids, parent)]
        return Events(before, ids, [rest if i else first for i in range(len(ids))]), last

    def follow(self, ids: Sequence[int], parent: int, first: Support = Support.ANY) -> Events:
        """The events that ``ids`` come behind ``parent``; the last of them, only predicted, gets no node here."""
        before = [parent, *self.add(ids[:-1], parent)]
        return Events(before, ids, [first] + [Support.ANY] * (len(ids) - 1))

    def ask(
        self, events: Events, label: str, coefficients: Sequence[float] | float = 1.0, old: Sequence[float] = ()
    ) -> slice:
        """A target for each of ``events``; returns where they stand among the trie's targets."""
        count, begin = len(events.nodes), self.n_targets
        weights = [coefficients] * count if isinstance(coefficients, int | float) else coefficients
        self._owners += range(begin, begin + count)
        self._events.append(events)
        olds = old or [math.nan] * count
        self._targets += [(label, weight, before, False) for weight, before in zip(weights, olds, strict=True)]
        self._sequences.append(count)
        return slice(begin, self.n_targets)

    def ask_whole(
        self, events: Events, label: str, coefficient: float = 1.0, old: float = math.nan, *, complement: bool = False
    ) -> int:
        """One target: that all of ``events`` come, or for ``complement`` that they do not; returns its index."""
        self._owners += [self.n_targets] * len(events.nodes)
        self._events.append(events)
        self._targets.append((label, coefficient, old, complement))
        self._sequences.append(1)
        return self.n_targets - 1

    def places(self) -> Ints:
        """[n] where each node will stand in depth-first order."""
        places, _ = self._depth_first()
        return places

    def build(self) -> Trie:
        """The trie, with its targets."""
        places, sizes = self._depth_first()
        tokens, parents, depths, last = np.empty((4, len(places)), dtype=np.int32)
        above = np.array(self._parents, dtype=np.int32)
        tokens[places] = self._tokens
        parents[places] = np.where(above < 0, -1, places[above]) if len(above) else above
        last[places] = places + sizes - 1
        depths[places] = self._depths()
        return Trie(tokens, parents, depths, last, self._built_targets(places))

    def _built_targets(self, places: Ints) -> Targets:
        nodes, tokens, supports = ([x for run in self._events for x in run[i]] for i in range(3))
        names, coefficients, old, complement = zip(*self._targets, strict=True) if self._targets else ((),) * 4
        distinct = tuple(dict.fromkeys(names))
        return Targets(
            nodes=places[nodes] if nodes else np.empty(0, np.int32),
            tokens=np.array(tokens, dtype=np.int32),
            supports=np.array(supports, dtype=np.int8),
            owners=np.array(self._owners, dtype=np.int32),
            complement=np.array(complement, dtype=np.bool_),
            coefficients=np.array(coefficients, dtype=np.float32),
            old=np.array(old, dtype=np.float32),
            labels=np.array([distinct.index(name) for name in names], dtype=np.uint8),
            names=distinct,
            sequences=np.array(self._sequences, dtype=np.int32),
            reference=np.empty(0, dtype=np.float32),
        )

    def _depth_first(self) -> tuple[Ints, Ints]:
        """[n] each node's place, and how many nodes its subtree has. A parent was added before its children."""
        sizes = [1] * len(self)
        for node in range(len(self) - 1, -1, -1):
            if self._parents[node] >= 0:
                sizes[self._parents[node]] += sizes[node]
        free = [0] * (len(self) + 1)  # where the next child of each node goes; the last entry is for those without one
        places = [0] * len(self)
        for node, parent in enumerate(self._parents):
            places[node] = free[parent]
            free[parent] += sizes[node]
            free[node] = places[node] + 1
        return np.array(places, dtype=np.int32), np.array(sizes, dtype=np.int32)

    def _depths(self) -> list[int]:
        depths: list[int] = []
        for parent in self._parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return depths


class EventRun(NamedTuple):
    """Distinct events of a batch that are renormalised over the same tokens."""

    support: Support
    stop: int
    """Behind the last of them; they begin where the run before it stops."""
    line_ends: bool
    """Are they classes of tokens that end a line, and not single tokens?"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows as tensors."""

    input_ids: Tensor
    """int64 [B, L]"""
    position_ids: Tensor
    """int64 [B, L], a node's depth."""
    last: Tensor
    """int64 [B, L], a node's last descendant, by its place in the row; a pad's is itself."""
    nodes: Tensor
    """int64 [P] place of each distinct event's node in the B * L of all rows, by support, then by place."""
    tokens: Tensor
    """int64 [P] token, or a class of them."""
    runs: tuple[EventRun, ...]
    """Of the P events."""
    uses: Tensor
    """int64 [E] distinct event that is used: one that several targets ask for is computed once."""
    owners: Tensor
    """int64 [E] target that uses it."""
    complement: Tensor
    """bool [N]; targets stand in the order of the tries."""
    coefficients: Tensor
    """float32 [N]"""
    old: Tensor
    """float32 [N]; NaN where the target has no old log-probability."""
    labels: Tensor
    """int64 [N] index among the labels of ``label_counts``."""
    label_counts: dict[str, int]
    """Targets of each label, by name."""
    sequences: Tensor
    """int64 [N] sequence that each target belongs to."""
    n_sequences: int
    """How many there are."""
    reference: Tensor
    """float32 [N]; NaN where the target has no log-probability under a reference."""
    temperature: float = 1.0
    """Of the policy whose log-probabilities are asked for: logits are divided by it."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch, of the CPU, on ``device``."""
        fields, there = {name: getattr(self, name) for name in self.__slots__}, torch.device(device)
        moved: dict[str, Any] = {k: sent(v, there) if isinstance(v, Tensor) else v for k, v in fields.items()}
        return Batch(**moved)

    @property
    def mask(self) -> Tensor:
        """bool [B, 1, L, L]: may the node of axis 2 attend to that of axis 3?"""
        place = torch.arange(self.last.shape[1], device=self.last.device)
        return ((place <= place[:, None]) & (place[:, None] <= self.last[:, None, :]))[:, None]


def pack(sizes: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Put tries, by their sizes, into rows of at most ``row_tokens`` nodes: first fit, longest first.

    Returns the indices of each row's tries. A trie of more than ``row_tokens`` has a row of its own.
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


def collate(rows: Sequence[Sequence[Trie]]) -> Batch:
    """Tensors of packed rows, padded to the longest; a pad attends to itself alone."""
    length = max(sum(map(len, row)) for row in rows)
    ids, depths = np.zeros((2, len(rows), length), dtype=np.int64)
    last = np.tile(np.arange(length), (len(rows), 1))
    begins: list[int] = []
    for r, row in enumerate(rows):
        begin = 0
        for trie in row:
            part = slice(begin, begin + len(trie))
            ids[r, part], depths[r, part], last[r, part] = trie.tokens, trie.depths, trie.last + begin
            begins.append(r * length + begin)
            begin += len(trie)
    return Batch(
        input_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(depths),
        last=torch.from_numpy(last),
        **_collated_targets([trie.targets for row in rows for trie in row], begins, len(rows) * length),
    )


def _collated_targets(parts: Sequence[Targets], begins: Sequence[int], places: int) -> dict[str, Any]:
    """The targets of tries that begin at ``begins`` among so many ``places``, equal events computed once."""
    first = np.cumsum([0, *map(len, parts)])[:-1]
    nodes = _joined([part.nodes + begin for part, begin in zip(parts, begins, strict=True)])
    tokens, supports = _joined([part.tokens for part in parts]), _joined([part.supports for part in parts])
    kinds = supports * 2 + (tokens < 0)
    keys, uses = np.unique(((kinds * places + nodes) << 32) + (tokens + _CODES), return_inverse=True)
    where, token = np.divmod(keys, 1 << 32)
    kind, node = np.divmod(where, places)
    token -= _CODES
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    labels = _joined([_relabelled(part, names) for part in parts])
    sizes = _joined([part.sequences for part in parts])
    return {
        "nodes": torch.from_numpy(node),
        "tokens": torch.from_numpy(token),
        "runs": tuple(_runs(kind)),
        "uses": torch.from_numpy(uses.reshape(-1)),
        "owners": torch.from_numpy(_joined([part.owners + n for part, n in zip(parts, first, strict=True)])),
        "complement": torch.from_numpy(np.concatenate([part.complement for part in parts])),
        "coefficients": torch.from_numpy(np.concatenate([part.coefficients for part in parts])),
        "old": torch.from_numpy(np.concatenate([part.old for part in parts])),
        "labels": torch.from_numpy(labels),
        "label_counts": dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True)),
        "sequences": torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        "n_sequences": len(sizes),
        "reference": torch.from_numpy(np.concatenate([_reference(part) for part in parts])),
    }


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate(parts).astype(np.int64)


def _reference(part: Targets) -> Floats:
    return part.reference if len(part.reference) else np.full(len(part), math.nan, dtype=np.float32)


def _relabelled(part: Targets, names: Sequence[str]) -> NDArray[np.int64]:
    return np.array([names.index(name) for name in part.names], dtype=np.int64)[part.labels]


def _runs(kinds: NDArray[np.int64]) -> Iterable[EventRun]:
    """One for each kind that occurs, twice its support and one more for line ends; they are sorted."""
    for kind in np.unique(kinds).tolist():
        yield EventRun(Support(kind // 2), int(np.searchsorted(kinds, kind, side="right")), bool(kind % 2))
