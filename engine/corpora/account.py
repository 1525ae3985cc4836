"""What a reader of files left out, told to a person in one line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_EXAMPLES = 2


@dataclass(slots=True, kw_only=True)
class Account:
    """What was left out while reading, and why."""

    skipped: Counter[str] = field(default_factory=Counter)
    """How many were left out, by reason."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first few of each reason, by name."""

    def skip(self, reason: str, where: str) -> None:
        """Count one that is left out, and remember the first few."""
        self.skipped[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < _EXAMPLES:
            named.append(where)

    def account(self) -> str:
        """What was left out, in one line: `3 duplicate (a.py:1 f), 1 not UTF-8 (b.py)`."""
        parts = [f"{n} {reason} ({', '.join(self.examples[reason])})" for reason, n in self.skipped.most_common()]
        return ", ".join(parts) or "nothing"
