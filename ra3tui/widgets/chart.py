"""A live chart in braille: the envelope of all points, their moving average, and the phases under the step axis."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from ra3tui.widgets import figures
from ra3tui.widgets.curve import Curve
from ra3tui.widgets.plot import LABELS, Band, Piece, draw


class Chart(Widget, can_focus=True):
    """One metric of a run. Setting a reactive paints it anew."""

    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 8; padding: 0 1 0 0; }
    Chart:focus { background: $boost; }
    Chart > .chart--title { text-style: bold; }
    Chart > .chart--figure { color: $foreground 60%; }
    Chart > .chart--axis { color: $foreground 45%; }
    Chart > .chart--curve { color: $primary; text-style: bold; }
    Chart > .chart--faint { color: $primary 45%; }
    Chart > .chart--band-eval { color: $text-warning; text-style: bold; }
    Chart > .chart--band-ntp { color: $text-secondary; text-style: bold; }
    Chart > .chart--band-estep { color: $text-primary; text-style: bold; }
    Chart > .chart--band-annotate { color: $text-secondary; text-style: bold; }
    Chart > .chart--band-mstep { color: $text-accent; text-style: bold; }
    Chart > .chart--band-rlvr { color: $text-success; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"chart--{name}"
        for name in (
            *("title", "figure", "axis", "curve", "faint"),
            *("band-eval", "band-ntp", "band-estep", "band-annotate", "band-mstep", "band-rlvr"),
        )
    }

    curve: reactive[Curve] = reactive(Curve, layout=False)
    """What is drawn."""
    bands: reactive[tuple[Band, ...]] = reactive(())
    """The run's phases."""
    limits: reactive[tuple[int, int]] = reactive((0, 0))
    """First and last step of the axis, the same for all charts of a run."""
    smooth: reactive[bool] = reactive(True)
    """Draw the moving average over the points."""
    log_scale: reactive[bool] = reactive(False)
    """A logarithmic y axis."""
    pointed: reactive[int | None] = reactive(None)
    """The cell under the mouse, whose step and value the title tells."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._frame: list[Strip] | None = None

    def watch_curve(self) -> None:
        """New points: draw anew."""
        self._frame = None

    watch_bands = watch_limits = watch_smooth = watch_log_scale = watch_pointed = watch_curve

    def notify_style_update(self) -> None:
        """Another theme: draw anew."""
        super().notify_style_update()
        self._frame = None

    def on_resize(self) -> None:
        """Another size: draw anew."""
        self._frame = None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Tell the step and value under the mouse."""
        self.pointed = event.x

    def on_leave(self) -> None:
        """Tell the newest value again."""
        self.pointed = None

    def render_line(self, y: int) -> Strip:
        """Row ``y`` of the frame, which is drawn when the first of its rows is asked for."""
        if self._frame is None:
            self._frame = self._strips(self._rows())
        return self._frame[y] if y < len(self._frame) else Strip.blank(self.size.width, self.rich_style)

    def _rows(self) -> list[list[Piece]]:
        width, height = self.size
        size = (width, height - 1)
        plot = draw(self.curve, self.bands, self.limits, size, smooth=self.smooth, log=self.log_scale)
        return [self._title(width), *(plot or [[], [Piece(f"  {self._why_empty()}", "figure")]])]

    def _title(self, width: int) -> list[Piece]:
        reading = self._reading()
        if self.log_scale:
            reading = f"log  {reading}"
        room = width - len(reading) - 2
        key = f" {self.key}" if len(self.key) <= room else f" {self.key[: max(0, room - 1)]}…"
        return [Piece(key, "title"), Piece(f"{reading:>{max(1, width - len(key))}}", "figure")]

    def _reading(self) -> str:
        if not len(self.curve):
            return ""
        at = len(self.curve) - 1 if self.pointed is None else self._nearest(self.pointed)
        return f"{figures.number(float(self.curve.values[at]))} at {self.curve.steps[at]}"

    def _nearest(self, cell: int) -> int:
        """The index of the point nearest to a cell of the plot."""
        first, last = self.limits
        left, width = LABELS + 1, max(2, self.size.width - LABELS - 1)
        step = first + (cell - left) * (last - first) / (width - 1)
        return int(abs(self.curve.steps - step).argmin())

    def _why_empty(self) -> str:
        if not len(self.curve):
            return "nothing written yet"
        return "nothing above zero: l for a linear axis" if self.log_scale else "no finite value yet"

    def _strips(self, rows: list[list[Piece]]) -> list[Strip]:
        base, width = self.rich_style, self.size.width
        names = {piece.style for row in rows for piece in row}
        styles = {name: self.get_component_rich_style(f"chart--{name}") for name in names}
        segments = [[Segment(piece.text, styles[piece.style]) for piece in row] for row in rows]
        return [Strip(row).adjust_cell_length(width, base) for row in segments]
