"""Where a run stood at each checkpoint that it has. Imports no torch: ``checkpoints`` reads what is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTIAL = "-partial"
"""Ends the name of a checkpoint inside a stage that gives way to newer ones."""
ASKED = "-asked"
"""Ends the name of one that a person asked for, which stays."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stood when a checkpoint was written."""

    step: int
    """Updates taken."""
    position: int
    """Of the stage in its arm."""
    kind: str
    """The stage."""
    ended: bool
    """Had the stage ended?"""
    after: str
    """Training stages the model had been through by then, the present one included when it had ended."""
    costs: dict[str, Any]
    """What the present stage had used, as ``engine.runs.stages.costs.Costs``."""


def saved(folder: Path) -> list[tuple[Path, Place]]:
    """The checkpoints in ``folder``, in the order in which a run comes by them."""
    checkpoints = []
    for path in folder.glob("[0-9]*/place.json"):
        checkpoints.append((path.parent, Place(**json.loads(path.read_text(encoding="utf-8")))))
    return sorted(checkpoints, key=lambda item: (item[1].position, item[1].ended, item[1].step, item[0].name))


def newest(folder: Path) -> tuple[Path, Place] | None:
    """The checkpoint to go on from, or None."""
    return next(reversed(saved(folder)), None)
