"""A row in a suite's format, with programs that solve it and some that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Pair = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """One row, and what becomes of programs for it."""

    row: dict[str, Any]
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def id(self) -> str:
        """As LiveCodeBench's rows have it, or Codeforces'."""
        return str(self.row.get("question_id") or self.row["id"])
