"""Means over seeds and problems, with intervals that both are a source of chance of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.reports.trials import Floats

_RESAMPLES = 4000
_ROUNDING = 1e-9


class Interval(NamedTuple):
    """A mean and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Is all of it, by more than rounding?"""
        return self.low > _ROUNDING


def across(values_SP: Floats, seed: int = 0) -> Interval:
    """The mean over seeds and problems [S, P], or over seeds [S].

    The interval is the percentile bootstrap in which both seeds and problems are drawn again (the pigeonhole bootstrap
    of Owen, 2007): it says what another few seeds on other problems might have given.
    """
    values = values_SP if values_SP.ndim == 2 else values_SP[:, None]
    random = np.random.default_rng(seed)
    seeds, problems = values.shape
    weights_RS = random.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES) / seeds
    weights_RP = random.multinomial(problems, np.full(problems, 1 / problems), _RESAMPLES) / problems
    means = np.einsum("rs,sp,rp->r", weights_RS, values, weights_RP, optimize=True)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
