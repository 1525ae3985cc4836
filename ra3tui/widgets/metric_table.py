"""The newest value of every metric."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from ra3tui.widgets import figures
from ra3tui.widgets.table import LiveTable

WIDTHS = {"metric": 14, "value": 10, "step": 7, "charted": 7}


class MetricTable(LiveTable):
    """A row a metric, and whether it is charted."""

    def on_mount(self) -> None:
        """Lay out its columns."""
        self.set_columns(WIDTHS)

    def on_resize(self) -> None:
        """Give the metrics' names what room there is."""
        self.fit(WIDTHS, "metric")

    def show(self, latest: Mapping[str, tuple[int, float]], charted: tuple[str, ...]) -> None:
        """Paint the newest values."""
        self.set_rows(
            {
                key: (
                    Text(key),
                    Text(figures.number(value), justify="right"),
                    Text(figures.count(step), justify="right"),
                    Text("yes" if key in charted else "", style="dim"),
                )
                for key, (step, value) in latest.items()
            }
        )
