"""Dots in braille cells: each cell of a terminal is two dots wide and four high."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
BLANK = 0x2800


def filled(low: NDArray[np.float64], high: NDArray[np.float64], height: int) -> NDArray[np.bool_]:
    """Dots ``[height, width]`` that are set where each column's span of rows (0 on top) covers them."""
    rows = np.arange(height)[:, None]
    dots: NDArray[np.bool_] = (rows >= np.round(low)) & (rows <= np.round(high))
    return dots


def cells(dots: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bit patterns ``[height / 4, width / 2]`` of ``dots``; 0 is a cell without a dot."""
    height, width = dots.shape
    grid = dots.reshape(height // 4, 4, width // 2, 2)
    patterns: NDArray[np.int64] = np.einsum("hawb,ab->hw", grid.astype(np.int64), BITS)
    return patterns


def character(pattern: int) -> str:
    """The braille character of a bit pattern."""
    return chr(BLANK + pattern)
