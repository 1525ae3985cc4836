"""A table whose rows come and change while a person's cursor stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

Cells = tuple[Text, ...]


class LiveTable(DataTable[Text]):
    """Rows by key, columns of fixed widths: measuring them on every change costs seconds in a long table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_top", "First", show=False),
        Binding("G", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._shown: dict[str, Cells] = {}
        self._last_key: str | None = None

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def set_columns(self, widths: Mapping[str, int]) -> None:
        """Other columns; the rows go, and are painted again by the next ``set_rows``."""
        self._last_key = self.key
        self.clear(columns=True)
        self._shown = {}
        for label, width in widths.items():
            self.add_column(label, width=width, key=label)

    def fit(self, widths: Mapping[str, int], stretched: str) -> None:
        """Columns of ``widths``, with what room is left given to the one ``stretched``; the rows stay."""
        room = self.size.width - sum(width + 2 * self.cell_padding for width in widths.values()) - 1
        rows = self._shown
        self.set_columns({**widths, stretched: max(widths[stretched], widths[stretched] + room)})
        self.set_rows(rows)

    def set_rows(self, rows: Mapping[str, Cells]) -> None:
        """Show ``rows``: cells that changed are painted; other keys in another order make the table anew."""
        if list(rows) == list(self._shown):
            self._update_cells(rows)
        elif self._shown and list(rows)[: len(self._shown)] == list(self._shown):
            self._update_cells({key: rows[key] for key in self._shown})
            self._append({key: cells for key, cells in rows.items() if key not in self._shown})
        else:
            self._rebuild(rows)
        self._shown = dict(rows)

    def _update_cells(self, rows: Mapping[str, Cells]) -> None:
        labels = [column.key for column in self.ordered_columns]
        for key, cells in rows.items():
            if cells is self._shown[key]:
                continue
            for label, old, new in zip(labels, self._shown[key], cells, strict=True):
                if old != new:
                    self.update_cell(key, label, new)

    def _append(self, rows: Mapping[str, Cells]) -> None:
        for key, cells in rows.items():
            self.add_row(*cells, key=key)

    def _rebuild(self, rows: Mapping[str, Cells]) -> None:
        key = self.key or self._last_key
        self.clear()
        self._append(rows)
        if key is not None and key in rows:
            self.move_cursor(row=list(rows).index(key), animate=False)
