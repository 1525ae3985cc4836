"""Length-prefixed frames: four bytes, big-endian, then that many bytes of payload."""

from __future__ import annotations

import os
import struct

HEADER = struct.Struct(">I")
CONTROL_LIMIT = 256 << 20
"""Largest frame between supervisor and fork server, in bytes; both are ours, the limit only stops a runaway."""
ANSWER_LIMIT = 16 << 20
"""Largest frame a candidate may send where nothing else is said, in bytes: else it is what memory it has."""


class FrameError(Exception):
    """The other side sent something that is not a frame within its limit."""


def write_frame(fd: int, payload: bytes) -> None:
    """Write one frame whole; raises OSError when nobody reads any more."""
    view = memoryview(HEADER.pack(len(payload)) + payload)
    while view:
        view = view[os.write(fd, view) :]


def read_exactly(fd: int, size: int) -> bytes | None:
    """``size`` bytes from a blocking descriptor, or None where it ended first."""
    chunks = bytearray()
    while len(chunks) < size:
        chunk = os.read(fd, min(size - len(chunks), 1 << 20))
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)


def read_frame(fd: int, limit: int) -> bytes | None:
    """The next payload, or None at the end of the stream; raises FrameError when it is longer than ``limit``."""
    header = read_exactly(fd, HEADER.size)
    if header is None:
        return None
    (size,) = HEADER.unpack(header)
    if size > limit:
        raise FrameError(f"a frame of {size} bytes is over the limit of {limit}")
    return read_exactly(fd, size)


class FrameReader:
    """Payloads from a blocking descriptor, each with one system call where it is small."""

    def __init__(self, fd: int, limit: int = ANSWER_LIMIT) -> None:
        self._fd = fd
        self._buffer = FrameBuffer(limit)

    def limit(self, limit: int) -> None:
        """Take no larger ones from now on."""
        self._buffer.limit = limit

    def read(self) -> bytes | None:
        """The next payload, or None at the end of the stream; raises FrameError when it is over the limit."""
        while (payload := self._buffer.pop()) is None:
            chunk = os.read(self._fd, min(max(1 << 14, self._buffer.missing()), 1 << 20))
            if not chunk:
                return None
            self._buffer.feed(chunk)
        return payload


class FrameBuffer:
    """Collects bytes as they come from a non-blocking stream and cuts them into payloads."""

    def __init__(self, limit: int = CONTROL_LIMIT) -> None:
        self.limit = limit
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Add what was just read."""
        self._bytes += chunk

    def missing(self) -> int:
        """Bytes that the payload being read is known to lack."""
        if len(self._bytes) < HEADER.size:
            return 0
        (size,) = HEADER.unpack_from(self._bytes)
        return int(HEADER.size + size - len(self._bytes))

    def pop(self) -> bytes | None:
        """The next whole payload, if it has come; raises FrameError when it is over the limit."""
        if len(self._bytes) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._bytes)
        if size > self.limit:
            raise FrameError(f"a frame of {size} bytes is over the limit of {self.limit}")
        end = HEADER.size + size
        if len(self._bytes) < end:
            return None
        payload = bytes(self._bytes[HEADER.size : end])
        del self._bytes[:end]
        return payload
