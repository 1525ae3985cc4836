"""A table that grows at its end, and whose cursor stays on the newest row until a person moves it."""

from __future__ import annotations

from collections.abc import Mapping

from ra3tui.widgets.table import Cells, LiveTable

KEPT = 200


class FollowTable(LiveTable):
    """Rows that came last stand last; the oldest go when there are three times as many as are kept."""

    def add(self, rows: Mapping[str, Cells]) -> None:
        """Show newer rows."""
        if not rows:
            return
        following = self.cursor_row >= self.row_count - 1
        together = {**self._shown, **rows}
        if len(together) > 3 * KEPT:
            together = dict(list(together.items())[-KEPT:])
        self.set_rows(together)
        if following:
            self.move_cursor(row=self.row_count - 1, animate=False)

    def forget(self) -> None:
        """Drop all rows."""
        self.set_rows({})
