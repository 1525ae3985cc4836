"""What happened in a run, in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.widgets import RichLog

from ra3tui.widgets.marks import LEVELS, UNKNOWN, colour


class EventLog(RichLog):
    """A line an event: time, step, level, kind, message."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, wrap=True, max_lines=2000, min_width=20)

    def add(self, events: Sequence[dict[str, Any]]) -> None:
        """Show newer events."""
        theme = self.app.theme_variables
        for event in events:
            mark = LEVELS.get(event["level"], UNKNOWN)
            clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
            self.write(
                Text.assemble(
                    (f"{clock} {event['step']:>5} ", "dim"),
                    (f"{mark.glyph} {event['kind']}  ", colour(mark.colour, theme)),
                    event["message"],
                )
            )
