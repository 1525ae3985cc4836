"""pass@k and how sure it is, from how many of a problem's samples passed.

Counts are `(n, c)` a problem: n samples that got a verdict, c of them passed. A sample that the sandbox itself failed
(`sandbox_error`), or whose test is broken (`test_error`), says nothing of the model and belongs in neither. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Counts = Sequence[tuple[int, int]]

REPORTED = (1, 5, 10, 25, 50, 100)


@dataclass(frozen=True, slots=True)
class Estimate:
    """pass@k of a suite with its confidence interval, all as fractions."""

    k: int
    value: float
    low: float
    high: float
    problems: int
    """How many problems it averages over: those with at least k samples."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that one of k samples, drawn without replacement from n of which c passed, is among the c.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of (Chen et al., 2021), in integers and so exact to the last bit.
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} needs at least {k} samples and 0 <= passed <= samples, found {c} of {n}")
    subsets = math.comb(n, k)
    return (subsets - math.comb(n - c, k)) / subsets


def mean_pass_at_k(counts: Counts, k: int) -> float:
    """pass@k averaged over the problems that have k samples or more; raises ValueError where none has."""
    values = _values(counts, k)
    return sum(values) / len(values)


def estimate(counts: Counts, k: int, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """pass@k and a confidence interval over problems, the source of chance being which problems are asked.

    Where every problem's value is 0 or 1 (one sample each, say) this is a proportion, and the interval is the score
    interval of (Wilson, 1927), which stays honest at 0 and at 1. Else it is the percentile bootstrap over problems
    (Efron and Tibshirani, 1993, chapter 13) with a fixed seed. Raises ValueError as `mean_pass_at_k`.
    """
    values = _values(counts, k)
    mean = sum(values) / len(values)
    if set(values) <= {0.0, 1.0}:
        low, high = wilson(int(sum(values)), len(values), confidence)
    else:
        low, high = _bootstrap(values, confidence, resamples, seed)
    return Estimate(k, mean, low, high, len(values))


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher one model's pass@k is than another's, with its confidence interval, all as fractions."""

    value: float
    low: float
    high: float
    problems: int
    """How many problems it averages over: those with at least k samples of both."""


def paired_difference(
    counts: Mapping[str, tuple[int, int]],
    base: Mapping[str, tuple[int, int]],
    k: int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference | None:
    """pass@k less that of ``base`` over the problems that both have, by their ids; None where there are none.

    The interval is the percentile bootstrap over problems, each drawn with both its values: what makes a problem hard
    for both cancels, so it is far narrower than two intervals side by side. The seed is fixed. Where no problem tells
    the two apart it has no width.
    """
    usable = [task for task in counts if task in base and min(counts[task][0], base[task][0]) >= k]
    gains = [pass_at_k(*counts[task], k) - pass_at_k(*base[task], k) for task in sorted(usable)]
    if not gains:
        return None
    low, high = _bootstrap(gains, confidence, resamples, seed)
    return Difference(sum(gains) / len(gains), low, high, len(gains))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927); raises ValueError where nothing was tried."""
    if trials < 1:
        raise ValueError("an interval needs at least one trial")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / trials
    middle = p + z * z / (2 * trials)
    reach = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def reported_ks(counts: Counts) -> list[int]:
    """The customary k that every problem with a sample has samples enough for."""
    fewest = min((n for n, _ in counts if n > 0), default=0)
    return [k for k in REPORTED if k <= fewest]


def _values(counts: Counts, k: int) -> list[float]:
    values = [pass_at_k(n, c, k) for n, c in counts if n >= k]
    if not values:
        raise ValueError(f"pass@{k}: no problem has {k} judged samples")
    return values


def _bootstrap(values: Sequence[float], confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    import numpy as np  # noqa: PLC0415  # a tenth of a second, which who has a value of 0 or 1 each does not wait for

    values_P = np.asarray(values)
    drawn_RP = np.random.default_rng(seed).integers(len(values_P), size=(resamples, len(values_P)))
    means_R = values_P[drawn_RP].mean(axis=1)
    low, high = np.quantile(means_R, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)
