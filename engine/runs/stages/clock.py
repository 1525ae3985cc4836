"""The clock that a run's seconds are counted on."""

from __future__ import annotations

import time


class Clock:
    """Counts seconds; it stands still while the run is paused."""

    def __init__(self) -> None:
        self._paused = 0.0

    def now(self) -> float:
        """Seconds since some moment that is the same for as long as the process lives."""
        return time.monotonic() - self._paused

    def leave_out(self, seconds: float) -> None:
        """The run was paused for so long, up to now."""
        self._paused += seconds
