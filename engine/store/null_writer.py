"""A writer that writes nothing, for the processes that work on a run beside the one that writes its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from engine.store.writer import Writer


class NullWriter(Writer):
    """Counts the run's steps, as every writer does, and lets all else pass."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.step = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Let it pass."""

    def trace(self, row: Mapping[str, Any], lines: list[dict[str, Any]]) -> None:
        """Let it pass."""

    def flush(self) -> None:
        """There is nothing to write."""

    def requests(self) -> list[dict[str, Any]]:
        """They are the first rank's to take."""
        return []

    def changes(self) -> list[dict[str, Any]]:
        """They are the first rank's to tell."""
        return []

    def _write(self, change: Callable[[], object]) -> None:
        """Let it pass."""
