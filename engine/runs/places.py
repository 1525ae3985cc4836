"""Where a run stood at each checkpoint that it has, and whether a checkpoint is still as it was written.

Imports no torch: ``checkpoints`` reads what is in them. ``files.json`` in a checkpoint has the size and the CRC-32 of
every other file: enough for a disk or a copy that failed, in a fraction of the time that writing took.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

PARTIAL = "-partial"
"""Ends the name of a checkpoint inside a stage that gives way to newer ones."""
ASKED = "-asked"
"""Ends the name of one that a person asked for, which stays."""
DAMAGED = "damaged-"
"""Begins the name of one that was set aside."""
_CHECKSUMS = "files.json"
_BLOCK = 1 << 20


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


Checkpoint = tuple[Path, Place]
"""A checkpoint's folder, and where the run stood."""
_PLACE = TypeAdapter(Place)


def saved(folder: Path) -> list[Checkpoint]:
    """The checkpoints in ``folder`` that say where they stood, in the order in which a run comes by them."""
    checkpoints = [(path, place) for path in folder.glob("[0-9]*") if (place := _place_of(path)) is not None]
    return sorted(checkpoints, key=lambda item: (item[1].position, item[1].ended, item[1].step, item[0].name))


def newest(folder: Path) -> Checkpoint | None:
    """The last of those `saved`, or None."""
    return next(reversed(saved(folder)), None)


def newest_sound(folder: Path, step: int | None = None) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest checkpoint that is as it was written, and those that are not, each with what is wrong with it.

    Only those up to update ``step`` are looked at, where one is given, and of what says where it stood only those that
    are newer than the one to go on from.
    """
    damaged = {
        path: "its place.json is missing or garbled"
        for path in sorted(folder.glob("[0-9]*"))
        if _place_of(path) is None and (step is None or step_in_name(path) <= step)
    }
    for path, place in reversed(saved(folder)):
        if step is not None and place.step > step:
            continue
        why = damage(path, place)
        if why is None:
            return (path, place), damaged
        damaged[path] = why
    return None, damaged


def step_in_name(checkpoint: Path) -> int:
    """Updates taken, by the name of a checkpoint."""
    digits = re.match(r"\d+", checkpoint.name)
    return int(digits[0]) if digits else 0


def damage(checkpoint: Path, place: Place) -> str | None:
    """What is wrong with the files of a checkpoint; None where they are as they were written."""
    # Without its state a stage would begin anew, on weights that it has trained already.
    needed = {} if place.ended else {"stage.pt": None}
    try:
        written = json.loads((checkpoint / _CHECKSUMS).read_text(encoding="utf-8"))
        files = {**needed, **written}
    except FileNotFoundError:  # by an earlier version
        files = needed
    except (OSError, ValueError, TypeError):
        return f"its {_CHECKSUMS} is garbled"
    for name, checksum in files.items():
        try:
            same = checksum in (None, _checksum(checkpoint / name))
        except OSError:
            return f"its {name} is missing"
        if not same:
            return f"its {name} is not as it was written"
    return None


def seal(checkpoint: Path) -> None:
    """Write down what the files of a checkpoint are, now that it has them all."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    checksums = {path.relative_to(checkpoint).as_posix(): _checksum(path) for path in files}
    (checkpoint / _CHECKSUMS).write_text(json.dumps(checksums), encoding="utf-8")


def set_aside(checkpoint: Path) -> Path:
    """Give a checkpoint a name by which no run goes on from it; returns its new folder."""
    aside = checkpoint.with_name(DAMAGED + checkpoint.name)
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint.rename(aside)


def _place_of(checkpoint: Path) -> Place | None:
    try:
        return _PLACE.validate_json((checkpoint / "place.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _checksum(path: Path) -> str:
    size, crc = 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return f"{size} {crc:08x}"
