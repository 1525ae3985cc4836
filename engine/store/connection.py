"""The SQLite file of a home: opened, brought up to date, and its errors told in one line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from engine.errors import EnvironmentFault
from engine.store.schema import SCHEMA_VERSION, bring_up
from engine.store.transaction import BUSY_SECONDS, is_locked
from engine.store.wal import use_wal


class StoreError(EnvironmentFault):
    """The store cannot be read or written. The message names the file and what to do."""


def database_path(home: Path) -> Path:
    """The one SQLite file of a home."""
    return home / "ra3.db"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on the store at ``path`` into one line that says what to do."""
    begin = time.monotonic()
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a row of ours that breaks the schema: a fault of this program, not of the file
    except sqlite3.OperationalError as error:
        if is_locked(error):
            waited = time.monotonic() - begin
            hint = f"waited {waited:.1f} s for another process that writes to it; end that one, or try again"
        elif "full" in str(error):
            hint = "free some space, then `ra3 run --resume RUN`"
        else:
            hint = "is the folder readable and writable, and on a local disk?"
        raise StoreError(f"{path}: {error}; {hint}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path}: not a sound SQLite store ({error}); move it aside to start a new one: checkpoints are untouched"
        ) from error


def connect(home: Path, *, write: bool) -> Database:
    """Open the store of ``home``; a writer makes it, with its tables, where there is none.

    One of an older version is brought up to this one first, whoever opens it.

    Raises:
        StoreError: there is no store to read, it is not one of ours, or it is of a newer version.
    """
    path = database_path(home)
    if not write and not path.exists():
        raise _no_runs(path)
    with explained(path):
        if write:
            _make_folder(home)
        connection = _opened(path, "rwc" if write else "ro")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not write and version == 0:  # made a moment ago, by a writer that is not through with its tables
            raise _no_runs(path)
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path}: written by a newer ra3 (schema {version}, this one knows {SCHEMA_VERSION})")
        if write:
            use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            bring_up(connection)
        elif version < SCHEMA_VERSION:
            connect(home, write=True).conn.close()
        return Database(connection, execute_plugins=False)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{path}?mode={mode}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    return connection


def _no_runs(path: Path) -> StoreError:
    return StoreError(f"{path}: no runs here yet; start one with `ra3 run smoke`, or name another --home")


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home}: cannot make this folder ({error.strerror}); name another with --home") from error
