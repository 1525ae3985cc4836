"""Samples as the sandbox judges them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ra3tui.widgets import figures
from ra3tui.widgets.follow_table import FollowTable
from ra3tui.widgets.marks import UNKNOWN, VERDICTS, text

WIDTHS = {"step": 5, "task": 11, "verdict": 15, "cpu s": 5, "reward": 6}


class VerdictTable(FollowTable):
    """A row a sample: task, verdict in word and glyph, CPU seconds, reward."""

    def on_mount(self) -> None:
        """Lay out its columns."""
        self.set_columns(WIDTHS)

    def on_resize(self) -> None:
        """Give the tasks' names what room there is."""
        self.fit(WIDTHS, "task")

    def add_samples(self, samples: Sequence[dict[str, Any]]) -> None:
        """Show newer samples."""
        theme = self.app.theme_variables
        self.add({str(sample["id"]): _cells(sample, theme) for sample in samples})


def _cells(sample: dict[str, Any], theme: dict[str, str]) -> tuple[Text, ...]:
    return (
        Text(figures.count(sample["step"]), justify="right"),
        Text(sample["task"]),
        text(sample["verdict"], VERDICTS.get(sample["verdict"], UNKNOWN), theme),
        Text(figures.EMPTY if sample["cpu_s"] is None else f"{sample['cpu_s']:.2f}", justify="right"),
        Text(figures.EMPTY if sample["reward"] is None else f"{sample['reward']:.2f}", justify="right"),
    )
