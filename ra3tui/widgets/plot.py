"""A chart as rows of styled text: the drawing of `Chart`, without the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ra3tui.widgets import braille, figures
from ra3tui.widgets.curve import Curve, Floats, spans, ticks
from ra3tui.widgets.marks import PHASES, ROUNDED, UNKNOWN

LABELS = 7
"""Cells left of the axis, for the figures of the y ticks."""


class Piece(NamedTuple):
    """Text in one style; ``style`` ends a component class of `Chart`."""

    text: str
    style: str


class Band(NamedTuple):
    """A phase on the step axis."""

    first_step: int
    kind: str
    round: int


class Scale(NamedTuple):
    """The value at the bottom and at the top of the plot, as drawn: their logarithms on a log axis."""

    low: float
    high: float
    log: bool

    def transform(self, values: Floats) -> Floats:
        """Values as heights; what a log axis cannot show is a gap."""
        if not self.log:
            return values
        with np.errstate(invalid="ignore"):
            return np.log10(np.where(values > 0, values, np.nan))

    def rows(self, values: Floats, height: int) -> Floats:
        """Dot rows (0 on top) of ``values`` in a plot ``height`` dots high."""
        rows: Floats = (self.high - self.transform(values)) / (self.high - self.low) * (height - 1)
        return rows


def scale_of(curve: Curve, *, log: bool) -> Scale | None:
    """The scale that holds all of ``curve``; None where it has nothing to show on such an axis."""
    heights = Scale(0, 1, log).transform(curve.values)
    heights = heights[np.isfinite(heights)]
    if not len(heights):
        return None
    low, high = float(heights.min()), float(heights.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        margin = 0.5 * abs(high) or 0.5
        low, high = low - margin, high + margin
    return Scale(low, high, log)


def draw(
    curve: Curve, bands: Sequence[Band], limits: tuple[int, int], size: tuple[int, int], *, smooth: bool, log: bool
) -> list[list[Piece]] | None:
    """The plot of the steps ``limits`` with its axis and phase bands; None where there is nothing to show.

    ``size`` is (width, height) in cells.
    """
    width, height = size[0] - LABELS - 1, size[1] - 2
    scale = scale_of(curve, log=log)
    if scale is None or width < 4 or height < 1:
        return None
    first, last = limits
    styled = _lines(curve, scale, limits, (width, height), smooth=smooth)
    labels = _labels(scale, height)
    axis = [f"{labels[y]}┤" if y in labels else " " * LABELS + "│" for y in range(height)]
    plot = [[Piece(axis[y], "axis"), *styled[y]] for y in range(height)]
    margin = Piece(" " * LABELS + "└", "axis")
    return [*plot, [margin, *_bands(bands, first, last, width)], [_steps(first, last, width)]]


def _columns(steps: NDArray[np.int64], limits: tuple[int, int], width: int) -> NDArray[np.int64]:
    first, last = limits
    columns: NDArray[np.int64] = ((steps - first) * (width - 1) // max(1, last - first)).astype(np.int64)
    return columns


def _lines(
    curve: Curve, scale: Scale, limits: tuple[int, int], size: tuple[int, int], *, smooth: bool
) -> list[list[Piece]]:
    width, height = size
    raw = _dots(curve, scale, limits, size)
    over = _dots(curve.smoothed(), scale, limits, size) if smooth else np.zeros_like(raw)
    under = "faint" if smooth else "curve"
    rows = []
    for y in range(height):
        pieces: list[Piece] = []
        for x in range(width):
            pattern, style = (over[y, x], "curve") if over[y, x] else (raw[y, x], under)
            pieces.append(Piece(braille.character(int(pattern)) if pattern else " ", style))
        rows.append(_merged(pieces))
    return rows


def _dots(curve: Curve, scale: Scale, limits: tuple[int, int], size: tuple[int, int]) -> NDArray[np.int64]:
    width, height = 2 * size[0], 4 * size[1]
    rows = scale.rows(curve.values, height)
    low, high = spans(_columns(curve.steps, limits, width), rows, width)
    return braille.cells(braille.filled(low, high, height))


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one style as one piece: a row is a few segments, not one a cell."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and merged[-1].style == piece.style:
            merged[-1] = Piece(merged[-1].text + piece.text, piece.style)
        else:
            merged.append(piece)
    return merged


def _labels(scale: Scale, height: int) -> dict[int, str]:
    """The tick's figure of each row that has one."""
    low, high = (10**scale.low, 10**scale.high) if scale.log else (scale.low, scale.high)
    values = np.array(ticks(low, high, max(2, 2 * height // 3), log=scale.log))
    rows = np.round(scale.rows(values, 4 * height) // 4).astype(int)
    return {int(row): f"{figures.tick(value):>{LABELS}}"[:LABELS] for row, value in zip(rows, values, strict=True)}


def _bands(bands: Sequence[Band], first: int, last: int, width: int) -> list[Piece]:
    """The line under the plot: each phase's letter where it begins, in its colour to where it ends."""
    cells = [Piece("─", "axis")] * width
    taken = 0
    for i, band in enumerate(bands):
        begin = min(width - 1, max(taken, _cell(band.first_step, first, last, width)))
        end = _cell(bands[i + 1].first_step, first, last, width) if i + 1 < len(bands) else width
        mark = PHASES.get(band.kind, UNKNOWN)
        label = mark.glyph + (str(band.round + 1) if band.kind in ROUNDED else "")
        taken = begin + 1  # an eval takes no step: what follows at the same step stands beside it
        for x in range(begin, min(width, max(end, taken))):
            letter = label[x - begin] if x - begin < len(label) else "─"
            cells[x] = Piece(letter, f"band-{band.kind}" if band.kind in PHASES else "axis")
    return _merged(cells)


def _cell(step: int, first: int, last: int, width: int) -> int:
    return min(width - 1, max(0, (step - first) * (width - 1) // max(1, last - first)))


def _steps(first: int, last: int, width: int) -> Piece:
    left, right = figures.count(first), figures.count(last)
    gap = max(1, width - len(left) - len(right) - len(" step "))
    return Piece(" " * (LABELS + 1) + f"{left} step {' ' * gap}{right}", "axis")
