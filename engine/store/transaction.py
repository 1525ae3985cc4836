"""How the store is written: every write is a transaction that asks for the write lock before it reads anything.

SQLite waits for a lock only where nothing was read yet. A transaction that begins by reading, as a plain ``BEGIN`` and
an insert through sqlite-utils do, holds a snapshot: once another process has written, it can never have the lock, and
is told so at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

BUSY_SECONDS = 30.0
"""How long a write waits for those of other processes."""
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written within, or nothing of it; waits up to `BUSY_SECONDS` for its turn.

    ``connection`` commits by itself (``isolation_level`` None) and is used by no other thread meanwhile.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def is_locked(error: sqlite3.Error) -> bool:
    """Was it another process that stood in the way, and nothing of the file itself?"""
    code = getattr(error, "sqlite_errorcode", 0)  # 0: raised by the module, before SQLite was asked
    return code & 0xFF in _LOCKED  # the low byte is the kind, the others say which of it
