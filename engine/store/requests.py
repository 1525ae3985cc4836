"""What people ask of a run at work: rows that its engine takes between two updates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from engine.store.connection import connect, database_path, explained
from engine.store.transaction import transaction
from engine.text import storable

CHANGES = "SELECT * FROM controls WHERE run = ? AND action = 'set' AND step IS NOT NULL ORDER BY step, id"


def request(home: Path, run: str, action: str, who: str, key: str | None = None, value: Any = None) -> None:
    """Ask the engine of ``run`` for an action of ``engine.runs.control``; it is taken between two updates."""
    encoded = None if value is None else json.dumps(value)
    row = {"run": run, "at": time.time(), "who": storable(who), "action": action, "key": key, "value": encoded}
    with _changed(home) as db:
        db["controls"].insert(row)


def withdraw_requests(home: Path, run: str) -> None:
    """Forget what was asked of an engine of ``run`` that has ended since; a changed setting waits for the next one."""
    withdraw = "UPDATE controls SET taken = ? WHERE taken IS NULL AND action <> 'set' AND run = ?"
    with _changed(home) as db:
        db.conn.execute(withdraw, [time.time(), run])


@contextmanager
def _changed(home: Path) -> Iterator[Database]:
    """The store of ``home``, open for one transaction."""
    db = connect(home, write=True)
    with closing(db.conn), explained(database_path(home)), transaction(db.conn):
        yield db
