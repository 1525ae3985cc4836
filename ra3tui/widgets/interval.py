"""A confidence interval in one line of text."""

from __future__ import annotations


def interval(value: float, low: float, high: float, width: int) -> str:
    """``├──●──┤`` on a scale from 0 to 1."""
    left, at, right = (round(min(1.0, max(0.0, number)) * (width - 1)) for number in (low, value, high))
    cells = [" "] * width
    cells[left : right + 1] = ["─"] * (right + 1 - left)
    cells[left], cells[right] = "├", "┤"
    cells[at] = "●"
    return "".join(cells)
