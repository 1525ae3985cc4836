"""Line charts as SVG, small enough to be read as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import cycle

import numpy as np

from engine.reports.trials import Floats

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2")
_WIDTH, _HEIGHT = 640, 320
Place = Callable[[float, float], str]
"""From a place along the chart and a value to `x,y`."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 52, 12, 30, 42, 16


def line_chart(title: str, x: str, y: str, curves: Mapping[str, Floats]) -> str:
    """A chart of curves by name, each [S, N]: the mean over S at 1 … N as a line, least to most as a band."""
    lows = [curve.min() for curve in curves.values()]
    highs = [curve.max() for curve in curves.values()]
    bottom, top = min(0.0, *lows), max(highs) * 1.05 or 1.0
    longest = max(curve.shape[1] for curve in curves.values())
    rows = _rows(curves, _WIDTH - _LEFT - _RIGHT - 8 * len(title))
    above = _TOP + _ROW * (len(rows) - 1)

    def place(n: float, value: float) -> str:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (n / max(1, longest - 1))
        up = _HEIGHT - _BOTTOM - (_HEIGHT - above - _BOTTOM) * (value - bottom) / (top - bottom)
        return f"{across:.1f},{up:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#333">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{escape(x)}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(y)}</text>',
    ]
    for value in np.linspace(bottom, top / 1.05, 5):
        left, height = place(0, value).split(",")
        parts.append(f'<path d="M{left} {height}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{height}" text-anchor="end" dy="4">{value:.2f}</text>')
    for curve, colour in zip(curves.values(), cycle(COLOURS), strict=False):
        parts += [_band(curve, place, colour), _line(curve.mean(0), place, colour)]
    return "\n".join([*parts, *_legend(rows), "</svg>\n"])


def _rows(names: Iterable[str], room: int) -> list[list[str]]:
    """The legend's rows beside the title, where no curve goes."""
    rows: list[list[str]] = [[]]
    for name in names:
        if rows[-1] and sum(map(_entry, [*rows[-1], name])) > room:
            rows.append([])
        rows[-1].append(name)
    return rows


def _entry(name: str) -> int:
    """How wide a name is with its mark."""
    return 36 + 6 * len(name)


def _legend(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    colours = cycle(COLOURS)
    for number, row in enumerate(rows):
        left, middle = _WIDTH - _RIGHT - sum(map(_entry, row)), 14 + _ROW * number
        for name in row:
            yield f'<path d="M{left} {middle}h18" stroke="{next(colours)}" stroke-width="3"/>'
            yield f'<text x="{left + 24}" y="{middle + 4}">{escape(name)}</text>'
            left += _entry(name)


def _line(values: Floats, place: Place, colour: str) -> str:
    points = " ".join(place(n, float(value)) for n, value in enumerate(values))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _band(curve: Floats, place: Place, colour: str) -> str:
    there = [place(n, float(value)) for n, value in enumerate(curve.min(0))]
    back = [place(n, float(value)) for n, value in enumerate(curve.max(0))]
    return f'<polygon points="{" ".join([*there, *reversed(back)])}" fill="{colour}" opacity="0.15"/>'
