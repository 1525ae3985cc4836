"""Numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

EMPTY = "-"


def number(value: float | None, digits: int = 4) -> str:
    """``value`` in at most ``digits`` significant digits."""
    if value is None:
        return EMPTY
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 10 ** (digits + 1):
        whole = len(str(int(abs(value))))
        return f"{value:.{max(0, digits - whole)}f}"
    return f"{value:.{max(0, digits - 3)}e}".replace("e-0", "e-").replace("e+0", "e")


def tick(value: float) -> str:
    """A round number on an axis: ``0.25``, ``40``, ``2e-5``, ``12k``."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return count(value)
    return f"{value:g}" if abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def count(value: float | None) -> str:
    """Tokens and steps: ``950``, ``12.3k``, ``4.56M``."""
    if value is None:
        return EMPTY
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """``42s``, ``3m20s``, ``2h05m``, ``3d04h``."""
    if seconds is None:
        return EMPTY
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m{left % 60:02d}s"
    if left < 86400:
        return f"{left // 3600}h{left % 3600 // 60:02d}m"
    return f"{left // 86400}d{left % 86400 // 3600:02d}h"


def age(seconds: float) -> str:
    """The largest unit alone: ``42s``, ``3m``, ``2h``, ``9d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def share(value: float | None) -> str:
    """A fraction as per cent: ``43.8%``."""
    return EMPTY if value is None else f"{100 * value:.1f}%"


def signed(value: float | None, digits: int = 2) -> str:
    """``+0.31``: a gain or an advantage; what rounds to zero is ``+0.00``."""
    return EMPTY if value is None else f"{round(value, digits) + 0.0:+.{digits}f}"


def points_gained(cell: Mapping[str, Any]) -> str:
    """``+3.1 [-2..+8]``: of a pass@k, what it gained on the untrained model's, and the paired interval if known."""
    if cell["delta"] is None:
        return ""
    gain = signed(100 * cell["delta"], 1)
    if cell["delta_low"] is None:
        return gain
    return f"{gain} [{signed(100 * cell['delta_low'], 0)}..{signed(100 * cell['delta_high'], 0)}]"


def bar(fraction: float | None, width: int) -> str:
    """A progress bar ``width`` cells wide; empty where nothing is known."""
    if fraction is None:
        return "╌" * width
    full = round(width * min(1.0, max(0.0, fraction)))
    return "━" * full + "╌" * (width - full)
