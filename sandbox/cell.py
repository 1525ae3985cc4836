"""The supervisor's end of a cell: frames to its fork server and back."""

from __future__ import annotations

import json
import select
import time
from abc import ABC, abstractmethod
from typing import Any

from .inside.frames import HEADER, FrameBuffer, FrameError


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
    def close(self) -> None:
        """End the cell and everything in it; may be called twice."""

    def oom_kills(self) -> int:
        """How often the kernel has ended something in this cell for want of memory; 0 where nobody counts."""
        return 0

    def set_memory(self, megabytes: int) -> None:  # noqa: B027  # most cells have no account to set
        """Set the memory of the whole cell, where the backend accounts for it."""

    def send(self, message: dict[str, Any]) -> None:
        """One frame to the fork server; raises CellLost."""
        payload = json.dumps(message).encode("ascii")
        try:
            self._write(HEADER.pack(len(payload)) + payload)
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
