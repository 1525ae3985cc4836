"""What people ask of a run at work: rows that its engine takes between two updates."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from engine.store.connection import connect, database_path, explained

CHANGES = "SELECT * FROM controls WHERE run = ? AND action = 'set' AND step IS NOT NULL ORDER BY step, id"


def request(home: Path, run: str, action: str, who: str, key: str | None = None, value: Any = None) -> None:
    """Ask the engine of ``run`` for an action of ``engine.runs.control``; it is taken between two updates."""
    with explained(database_path(home)):
        db = connect(home, write=True)
        encoded = None if value is None else json.dumps(value)
        row = {"run": run, "at": time.time(), "who": who, "action": action, "key": key, "value": encoded}
        db["controls"].insert(row)
        db.conn.close()


def withdraw_requests(home: Path, run: str) -> None:
    """Forget what was asked of an engine of ``run`` that has ended since; a changed setting waits for the next one."""
    with explained(database_path(home)):
        db = connect(home, write=True)
        db.conn.execute(
            "UPDATE controls SET taken = ? WHERE taken IS NULL AND action <> 'set' AND run = ?", [time.time(), run]
        )
        db.conn.close()
