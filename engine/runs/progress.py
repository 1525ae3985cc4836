"""What the engine tells whoever watches it in the same process: the command line's progress bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase of a run is."""

    run: str
    arm: str
    phase: str
    """What is being done: ``eval``, ``ntp``, ``E-step 1/2``, ``M-step 1/2``, ``rlvr``."""
    done: int
    total: int
    unit: str
    """What ``done`` and ``total`` count: ``tokens``, ``updates``, ``samples``."""
    note: str = ""
    """The newest figure, such as ``loss 1.432``."""


class Listener(Protocol):
    """Receives progress and events; called from any of the engine's threads, must return at once."""

    def progress(self, progress: Progress) -> None:
        """A phase moved on."""

    def event(self, run: str, level: str, message: str) -> None:
        """Something happened that a person may want to know; ``level`` is info, warning or error."""


class Silent:
    """Listens to nothing: for a detached engine, whose readers watch the store."""

    def progress(self, progress: Progress) -> None:
        """Pass over it."""

    def event(self, run: str, level: str, message: str) -> None:
        """Pass over it."""
