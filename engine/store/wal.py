"""The store's write-ahead log: readers see the file as it was while a writer adds to the log."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from engine.store.transaction import BUSY_SECONDS, is_locked

WAL_BYTES = 16_000_000
"""A log that is longer is emptied. SQLite itself begins it anew only in a moment in which nobody reads it: with a dozen
readers that never comes, and the log grows without end."""
_RETRY_SECONDS = 0.01
_READERS_MS = 250
"""How long writers are held up so that readers of the log come to their end."""


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers read while a writer writes. SQLite itself does not wait to change this, where two open a new file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def shorten_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Empty the log of the store at ``path`` where it has grown too long, unless somebody reads it all the while."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size <= WAL_BYTES:
        return
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
