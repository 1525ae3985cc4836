"""A metric over steps, and what is drawn of it: pure numpy, no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BLOCK = 64
FEW = 24
MANY = 2048


def _no_steps() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


def _no_values() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Curve:
    """Values at rising steps; what is not finite is drawn as a gap."""

    steps: NDArray[np.int64] = field(default_factory=_no_steps)
    values: Floats = field(default_factory=_no_values)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def last_step(self) -> int:
        """The newest step, -1 where there is none."""
        return int(self.steps[-1]) if len(self) else -1

    def extended(self, points: Sequence[tuple[int, float]]) -> Curve:
        """This curve and newer ``points``."""
        steps = np.array([step for step, _ in points], dtype=np.int64)
        values = np.array([value for _, value in points], dtype=np.float64)
        return Curve(np.concatenate([self.steps, steps]), np.concatenate([self.values, values]))

    def smoothed(self) -> Curve:
        """Its debiased exponential mean, over a fortieth of its points and at least ten; few points as they are.

        Of many points, means of small runs are taken first: the average over a fortieth of them stays the same to the
        eye, and costs a tenth.
        """
        finite = np.isfinite(self.values)
        steps, values = self.steps[finite], self.values[finite]
        if len(values) < FEW:
            return self
        run = -(-len(values) // MANY)
        starts = np.arange(0, len(values), run)
        counts = np.diff(np.r_[starts, len(values)])
        values = np.add.reduceat(values, starts) / counts
        decay = 1 - 2 / (max(10, len(values) / 40) + 1)
        return Curve(steps[starts + counts - 1], ema(values, decay))


def ema(values: Floats, decay: float) -> Floats:
    """Debiased exponential moving average: ``m_t = decay m_{t-1} + (1 - decay) v_t``, over ``1 - decay^t``.

    Blockwise: inside a block by one matrix product, between blocks by carrying the last mean over, as a loop in Python
    over 200,000 points would be seen by the eye.
    """
    count = len(values)
    if not count:
        return values
    powers = decay ** np.arange(BLOCK + 1)
    within = (1 - decay) * np.tril(powers[np.abs(np.subtract.outer(np.arange(BLOCK), np.arange(BLOCK)))])
    blocks = np.pad(values, (0, -count % BLOCK)).reshape(-1, BLOCK) @ within.T
    carry, carries = 0.0, []
    for last in blocks[:, -1].tolist():
        carries.append(carry)
        carry = last + powers[-1] * carry
    means = (blocks + np.outer(carries, powers[1:])).reshape(-1)[:count]
    debiased: Floats = means / -np.expm1(np.arange(1, count + 1) * np.log(decay))
    return debiased


def spans(columns: NDArray[np.int64], rows: Floats, width: int) -> tuple[Floats, Floats]:
    """Lowest and highest row of each of ``width`` columns of the line through points in rising columns.

    Points that share a column become its envelope, so that no spike is lost; columns between two neighbours are joined
    by a straight line; a row that is not finite breaks the line. Columns without a line have ``low > high``.
    """
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    drawn = np.flatnonzero(np.isfinite(rows))
    if not len(drawn):
        return low, high
    at, y = columns[drawn], rows[drawn]
    starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
    stops = np.r_[starts[1:], len(at)] - 1
    low[at[starts]] = np.minimum.reduceat(y, starts)
    high[at[starts]] = np.maximum.reduceat(y, starts)
    joined = np.flatnonzero(drawn[starts[1:]] - drawn[stops[:-1]] == 1)
    lefts, rights = stops[joined], starts[joined + 1]
    beside = at[rights] - at[lefts] == 1
    _join_beside(low, high, at[lefts[beside]], (y[lefts[beside]] + y[rights[beside]]) / 2)
    for left, right in zip(lefts[~beside].tolist(), rights[~beside].tolist(), strict=True):
        _join(low, high, (int(at[left]), y[left]), (int(at[right]), y[right]))
    return low, high


def _join_beside(low: Floats, high: Floats, columns: NDArray[np.int64], middles: Floats) -> None:
    """Join each of ``columns`` with the next one, half way: the common case of a long curve, all at once."""
    for at in (columns, columns + 1):
        low[at] = np.minimum(low[at], middles)
        high[at] = np.maximum(high[at], middles)


def _join(low: Floats, high: Floats, left: tuple[int, float], right: tuple[int, float]) -> None:
    """Widen the spans of the columns from ``left`` to ``right`` by the line between the two points."""
    (a, from_row), (b, to_row) = left, right
    edges = np.linspace(from_row, to_row, 2 * (b - a) + 1)
    begins, ends = np.r_[edges[0], edges[1::2]], np.r_[edges[1::2], edges[-1]]
    np.minimum(low[a : b + 1], np.minimum(begins, ends), out=low[a : b + 1])
    np.maximum(high[a : b + 1], np.maximum(begins, ends), out=high[a : b + 1])


def ticks(low: float, high: float, wanted: int, *, log: bool) -> list[float]:
    """About ``wanted`` round numbers from ``low`` to ``high``; powers of ten on a log axis that holds two of them."""
    if log:
        first, last = np.ceil(np.log10(low) - 1e-9), np.floor(np.log10(high) + 1e-9)
        powers = 10.0 ** np.arange(first, last + 1)
        if len(powers) >= 2:
            return [float(tick) for tick in powers[:: max(1, len(powers) // max(1, wanted))]]
    span = high - low
    rough = span / max(1, wanted)
    base = 10.0 ** np.floor(np.log10(rough))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if base * factor >= rough * (1 - 1e-9))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(step * i) for i in np.arange(first, last + 1)]
