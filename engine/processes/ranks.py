"""The processes that share a run. Each runs the same program; this module alone knows that there are several.

Every rank holds the whole model and takes the same decisions from the same figures. Work is shared out at four places
(rollouts, samples, scores, micro-batches): each rank does its share and gathers what the others did, so that all go on
with everything, in the order in which one process would have had it.

Calls marked *collective* must be made by all ranks, in the same order.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from engine.errors import EnvironmentFault
from engine.processes.lifeline import Hub, Peer, Spoke

BUCKET = 1 << 24
"""Numbers that are added up over the ranks at a time."""

GRACE_SECONDS = 10.0
"""Between the loss of a rank and the end of this process, where its own work does not notice before."""

T = TypeVar("T")


class RankLost(EnvironmentFault):
    """One of the processes that share a run has ended: the others cannot go on without it."""


class Ranks:
    """One process, which is all there is: nothing is shared, nothing is sent."""

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Is this the process that writes the store and judges samples?"""
        return self.rank == 0

    def begin(self, run: str, on_loss: Callable[[str], None]) -> None:
        """``run`` is worked on from now on.

        ``on_loss`` is called, in a thread, with what became of a lost rank, where this process's work does not meet it.
        """

    @property
    def stop_asked(self) -> bool:
        """Has the first rank passed on a request to stop this run?"""
        return False

    def ask_to_stop(self) -> None:
        """Have all ranks stop where they are; to be called by the first one."""

    def share(self, items: Sequence[T]) -> list[T]:
        """This rank's part of ``items``: every ``size``-th."""
        return list(items[self.rank :: self.size])

    def gather(self, shared: Sequence[T]) -> list[T]:
        """*Collective.* What all ranks made of their shares, in the order of the items. It is pickled."""
        return list(shared)

    def from_first(self, make: Callable[[], T]) -> T:
        """*Collective.* What ``make`` gives on the first rank, where alone it is called. It is pickled."""
        return make()

    def any(self, flag: bool) -> bool:
        """*Collective.* Does any rank say so?"""
        return flag

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """*Collective.* What is inside is done by the first rank before the others begin: it may fill a cache."""
        if not self.first:
            self.any(False)
        yield
        if self.first:
            self.any(False)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """*Collective.* Replace each tensor by its sum over the ranks."""

    def loss(self, error: BaseException) -> str | None:
        """Was ``error`` but the loss of another rank, as felt here? What became of it, in one line."""
        del error
        return None


class GroupRank(Ranks):
    """One of several processes, its process group open."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size

    def gather(self, shared: Sequence[T]) -> list[T]:
        """By pickle, over the process group."""
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(shared))
        gap = object()
        return [item for row in zip_longest(*parts, fillvalue=gap) for item in row if item is not gap]

    def from_first(self, make: Callable[[], T]) -> T:
        """By pickle, over the process group."""
        objects: list[Any] = [make() if self.first else None]
        dist.broadcast_object_list(objects, src=0)
        value: T = objects[0]
        return value

    def any(self, flag: bool) -> bool:
        """The greatest of all flags."""
        greatest = torch.tensor([flag], dtype=torch.int32)
        dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
        return bool(greatest)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """In few large pieces."""
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, part in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))


class FirstRank(GroupRank):
    """The rank that writes the store, judges, and hears of the others' ends."""

    def __init__(self, size: int, hub: Hub, how_it_ended: Callable[[int], str]) -> None:
        super().__init__(0, size)
        self._hub = hub
        self._how_it_ended = how_it_ended
        self._tell: Callable[[str], None] | None = None
        self._lost: str | None = None
        self._run = self._stopping = ""
        self._noticed = threading.Event()
        hub.watch(self._lose)

    def ask_to_stop(self) -> None:
        """Over the lifeline, which is heard in the midst of sampling."""
        if self._stopping != self._run:
            self._stopping = self._run
            self._hub.send_stop(self._run)

    def begin(self, run: str, on_loss: Callable[[str], None]) -> None:
        """Who is told when this process must be ended."""
        self._run, self._tell = run, on_loss

    def loss(self, error: BaseException) -> str | None:
        """Asked before ``error`` is blamed on this process."""
        # A broken collective may be felt before the word of who broke it is in.
        self._noticed.wait(GRACE_SECONDS / 2 if isinstance(error, RuntimeError) else 0.5)
        return self._lost

    def _lose(self, peer: Peer, why: str | None) -> None:
        """In the lifeline's thread: end this process, unless it meets the loss in its own work and ends by itself."""
        if self._lost is None:
            self._lost = f"{peer} failed: {why}" if why else f"{peer} {self._how_it_ended(peer.rank)}"
            self._noticed.set()
            deadline = threading.Timer(GRACE_SECONDS, self._give_up, [self._lost])
            deadline.daemon = True
            deadline.start()

    def _give_up(self, lost: str) -> None:
        if self._tell is not None:
            self._tell(lost)
        end_at_once(lost)


class OtherRank(GroupRank):
    """A rank that works for the first one."""

    def __init__(self, rank: int, size: int, spoke: Spoke) -> None:
        super().__init__(rank, size)
        self._spoke = spoke
        self._run = ""

    def begin(self, run: str, on_loss: Callable[[str], None]) -> None:
        """This rank ends when the first does, and tells nobody."""
        del on_loss
        self._run = run

    @property
    def stop_asked(self) -> bool:
        """Heard over the lifeline."""
        return self._run in self._spoke.to_stop


def end_at_once(why: str) -> None:
    """End this process wherever it is: in a collective operation nothing else would reach it."""
    print(why, file=sys.stderr, flush=True)  # noqa: T201 - last words of a process on its way out
    os._exit(3)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one type, each of about BUCKET numbers."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
