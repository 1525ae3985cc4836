"""The charts of a run, two in a row."""

from __future__ import annotations

from collections.abc import Mapping

from textual.containers import Grid
from textual.reactive import reactive

from ra3tui.widgets.chart import Chart
from ra3tui.widgets.curve import Curve
from ra3tui.widgets.plot import Band

ROWS = 8


class ChartGrid(Grid):
    """Setting ``keys`` chooses the metrics; all rows are as high as the room allows, and scroll when it does not."""

    DEFAULT_CSS = """
    ChartGrid { grid-size: 2; grid-gutter: 0 1; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    keys: reactive[tuple[str, ...]] = reactive(())
    """The metrics that are charted."""
    bands: reactive[tuple[Band, ...]] = reactive(())
    """The run's phases."""
    curves: reactive[Mapping[str, Curve]] = reactive(dict, always_update=True)
    """What is known of each metric."""

    async def watch_keys(self, keys: tuple[str, ...]) -> None:
        """Other charts."""
        with self.app.batch_update():
            await self.remove_children()
            await self.mount(*(Chart(key) for key in keys))
            self._fit()
        self.watch_curves()
        self.watch_bands()

    def watch_curves(self) -> None:
        """More points."""
        drawn = [self.curves[key] for key in self.keys if key in self.curves and len(self.curves[key])]
        ends = [(int(curve.steps[0]), curve.last_step) for curve in drawn] or [(0, 0)]
        starts = [first for first, _ in ends] + [band.first_step for band in self.bands[:1]]
        limits = (min(starts), max(last for _, last in ends))
        for chart in self.query(Chart):
            chart.curve = self.curves.get(chart.key, chart.curve)
            chart.limits = limits

    def watch_bands(self) -> None:
        """Another phase."""
        for chart in self.query(Chart):
            chart.bands = self.bands

    def on_resize(self) -> None:
        """Share the height anew."""
        self._fit()

    def chosen(self) -> list[Chart]:
        """The chart that has the focus; all of them when none has."""
        charts = list(self.query(Chart))
        return [chart for chart in charts if chart.has_focus] or charts

    def _fit(self) -> None:
        rows = max(1, -(-len(self.keys) // 2))
        self.styles.grid_rows = str(max(ROWS, self.size.height // rows))
        self.styles.grid_size_columns = min(2, max(1, len(self.keys)))
