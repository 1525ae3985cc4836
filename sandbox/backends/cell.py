"""The supervisor's end of a cell: frames to its fork server and back."""

from __future__ import annotations

import json
import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..inside import orders
from ..inside.frames import HEADER, FrameBuffer, FrameError
from ..inside.protocol.wire import dumps
from .packages import Package

START_S = 60.0
"""How long a cell may take to say hello on a machine that is busy with other things."""
REQUIRED = frozenset(
    {
        "pid namespace",
        "no network",
        "read-only root",
        "unprivileged user",
        "no capabilities",
        "no new privileges",
        "seccomp",
    }
)
"""The layers without which a cell isolates nothing."""


class CellLost(Exception):
    """The cell does not answer any more; its message says what is known of it."""


class Cell(ABC):
    """One isolated place with a fork server in it. How bytes reach it is the backend's affair."""

    def __init__(self) -> None:
        self._frames = FrameBuffer()

    @abstractmethod
    def fileno(self) -> int:
        """A descriptor that is readable when the cell has sent something."""

    @abstractmethod
    def _read(self) -> bytes:
        """What has come, b"" at the end; blocks where nothing has."""

    @abstractmethod
    def _write(self, chunk: bytes) -> None:
        """Send all of it; raises OSError."""

    @abstractmethod
    def abort(self) -> None:
        """Make whoever waits for the cell see it end; may be called from another thread."""

    @abstractmethod
    def close(self) -> None:
        """End the cell and everything in it; may be called twice."""

    @property
    def accounts_memory(self) -> bool:
        """Whether the kernel holds the whole cell to its memory, or only each process to its address space."""
        return True

    def set_memory(self, megabytes: int) -> None:  # noqa: B027  # most cells have no account to set
        """Set the memory of the whole cell, where the backend accounts for it."""

    def hello(self) -> tuple[str, ...]:
        """Wait until the fork server serves: the layers that it found to hold. Raises CellLost."""
        return tuple(self.receive(time.monotonic() + START_S)["layers"])

    def send(self, message: dict[str, Any]) -> None:
        """What the cell is to become, before it is one; raises CellLost."""
        self.order(dumps(message))

    def order(self, order: bytes) -> None:
        """One order to the fork server; raises CellLost."""
        try:
            self._write(HEADER.pack(len(order)) + order)
        except OSError as error:
            raise CellLost(f"cannot write to the cell: {error}") from error

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message; raises CellLost at the end of the stream or at ``deadline`` (monotonic seconds)."""
        while (message := self.poll()) is None:
            wait_for((self,), deadline)
        return message

    def poll(self) -> dict[str, Any] | None:
        """A message that has come already in full."""
        try:
            payload = self._frames.pop()
        except FrameError as error:
            raise CellLost(f"the cell does not speak in frames: {error}") from error
        if payload is None:
            return None
        if not payload.startswith(b"{"):  # a number of the task that large is not come to
            return orders.read_report(payload)
        message: dict[str, Any] = json.loads(payload)
        if "trouble" in message:
            raise CellLost(message["trouble"])
        return message

    def pull(self) -> None:
        """Read what has come; raises CellLost at the end of the stream."""
        try:
            chunk = self._read()
        except OSError as error:
            raise CellLost(f"cannot read from the cell: {error}") from error
        if not chunk:
            raise CellLost("the cell ended")
        self._frames.feed(chunk)


@dataclass(frozen=True)
class Pair:
    """What a worker works with: a cell for candidates, one for judges."""

    candidates: Cell
    judges: Cell
    layers: tuple[str, ...]
    """The layers of isolation that hold in both."""
    packages: tuple[str, ...]
    """The third-party packages that programs and tests may import, with their versions."""
    after: Callable[[], None]
    """What to tidy up when both are closed."""

    def abort(self) -> None:
        """End what runs in them, from another thread; `close` is still due."""
        self.candidates.abort()
        self.judges.abort()

    def close(self) -> None:
        """End both cells, side by side."""
        self.abort()
        self.candidates.close()
        self.judges.close()
        self.after()


def paired(
    candidates: Cell,
    judges: Cell,
    after: Callable[[], None],
    packages: Iterable[Package],
    required: frozenset[str] = REQUIRED,
) -> Pair:
    """Two cells that are starting, once both serve; raises CellLost where a required layer does not hold."""
    judged = judges.hello()
    layers = tuple(layer for layer in candidates.hello() if layer in judged)
    missing = required - set(layers)
    if missing:
        raise CellLost(f"isolation does not hold here: {', '.join(sorted(missing))}")
    return Pair(candidates, judges, layers, tuple(map(str, packages)), after)


def wait_for(cells: tuple[Cell, ...], deadline: float) -> None:
    """Wait until one of the cells has sent something, and read it; raises CellLost at the deadline."""
    poll = select.poll()
    by_fd = {cell.fileno(): cell for cell in cells}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    if not ready:
        raise CellLost("the cell did not answer in time")
    for fd, _ in ready:
        by_fd[fd].pull()
