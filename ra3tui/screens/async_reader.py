"""The app's one connection to the store: opened when there is one, and again when the file is another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from engine.store.reader import Reader

T = TypeVar("T")


class Unreadable(Exception):
    """The store cannot be read now; the message is one line for a person."""


class AsyncReader:
    """Reads the store of ``home`` outside of the event loop, one read at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._reader: Reader | None = None
        self._file: tuple[int, int] | None = None
        self._lock = threading.Lock()

    async def read(self, query: Callable[[Reader], T]) -> T:
        """What ``query`` finds.

        Raises:
            Unreadable: there is no store, or it is broken; the next read tries again.
        """
        return await asyncio.to_thread(self._read, query)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._drop()

    def _read(self, query: Callable[[Reader], T]) -> T:
        from engine.store.connection import StoreError  # noqa: PLC0415 - a third of a second, which the first paint need not wait for

        with self._lock:
            try:
                return query(self._open())
            except StoreError as error:
                self._drop()
                raise Unreadable(str(error)) from error
            except OSError as error:  # a folder on the way to it that is none, or that may not be looked into
                self._drop()
                raise Unreadable(f"{self.home}: {error.strerror}; name another home with --home") from error

    def _open(self) -> Reader:
        from engine.store.connection import database_path  # noqa: PLC0415 - likewise
        from engine.store.reader import Reader  # noqa: PLC0415 - likewise

        with suppress(FileNotFoundError):  # the reader says it better
            status = database_path(self.home).stat()
            if self._file != (status.st_dev, status.st_ino):
                self._drop()
                self._file = (status.st_dev, status.st_ino)
        if self._reader is None:
            self._reader = Reader(self.home)
        return self._reader

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._file = None
