"""What stages have cost, from their rows in the store. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SPENT_BY = """
SELECT sum(s.seconds - coalesce(json_extract(s.work, '$.measure'), 0)) AS spent
FROM stages s JOIN runs r ON r.id = s.run JOIN runs mine ON mine."group" = r."group"
WHERE mine.id = ? AND s.kind IN ('ntp', 'ra3') AND s.status = 'done' AND r.arm = ?
"""
"""Seconds that imitation and EM took an arm (the second parameter) of a run's launch, measuring left out."""


def together(stages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Costs of several stages: tokens_trained, tokens_generated, flops, seconds without measuring, and peak_mb."""
    return {
        **{name: sum(stage[name] for stage in stages) for name in ("tokens_trained", "tokens_generated", "flops")},
        "seconds": sum(stage["seconds"] - stage["work"].get("measure", 0.0) for stage in stages),
        "peak_mb": max((stage["peak_mb"] for stage in stages if stage["peak_mb"]), default=None),
    }
