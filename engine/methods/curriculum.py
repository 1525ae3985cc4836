"""How hard each problem has been found to be, and how often it is therefore drawn. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

HALVINGS = 3
"""A settled problem's weight is halved so many times at most: it still comes now and then, as the policy changes."""
HARD, EASY = 0.25, 0.75
"""Pass rates below and above which a problem is hard, and easy."""
Difficulty = Literal["new", "hard", "middle", "easy"]


class Measured(NamedTuple):
    """What a stage has seen of one problem."""

    rate: float
    """Its pass rate: half that of its newest group, half what it was before."""
    settled: int
    """How many of its groups in a row, up to the newest, all passed or all failed."""


PassRates = Mapping[str, Measured]
"""By task, of those that were drawn."""


def measured(rates: PassRates, groups: Iterable[tuple[str, Sequence[bool]]]) -> PassRates:
    """``rates`` after further ``groups``: each a task, and whether each of its samples that count has passed."""
    after = dict(rates)
    for task, passed in groups:
        if passed:
            after[task] = _after(after.get(task), sum(passed) / len(passed))
    return after


def _after(before: Measured | None, rate: float) -> Measured:
    if before is None:
        return Measured(rate, int(rate in (0, 1)))
    return Measured((before.rate + rate) / 2, before.settled + 1 if rate in (0, 1) else 0)


def weight(known: Measured | None) -> float:
    """How often a problem is drawn beside one that teaches: half as often for each group in a row without a difference.

    The first such group says little, and changes nothing.
    """
    return 0.5 ** min(max((known.settled if known else 0) - 1, 0), HALVINGS)


def weighted_order(weights: Sequence[float], seed: int) -> Iterator[int]:
    """Indices of ``weights`` without end, each epoch all of them: drawn one after the other in proportion to weight.

    The epoch is a race of exponential clocks (Efraimidis and Spirakis, 2006).
    """
    rng = np.random.default_rng(seed)
    rates = np.array(weights)
    while True:
        yield from np.argsort(rng.exponential(size=len(rates)) / rates, kind="stable").tolist()


def difficulty(known: Measured | None) -> Difficulty:
    """Of a problem, by its pass rate so far."""
    if known is None:
        return "new"
    return "hard" if known.rate < HARD else "easy" if known.rate > EASY else "middle"
