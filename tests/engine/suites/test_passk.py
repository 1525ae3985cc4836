"""pass@k against a hand computation, the enumeration of all subsets, and simulation of its interval."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from engine.suites.passk import estimate, mean_pass_at_k, paired_difference, pass_at_k, reported_ks, wilson


def enumerated(n: int, c: int, k: int) -> float:
    """The share of all k-subsets of n samples that hold one of the first c."""
    subsets = list(combinations(range(n), k))
    return sum(min(subset) < c for subset in subsets) / len(subsets)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_passing_sample(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            assert math.isclose(pass_at_k(n, c, k), enumerated(n, c, k), abs_tol=1e-12)


def test_pass_at_k_by_hand() -> None:
    # 5 samples, 2 passed: both of 2 fail with chance 3/5 * 2/4.
    assert math.isclose(pass_at_k(5, 2, 2), 1 - 3 / 5 * 2 / 4)
    assert pass_at_k(5, 0, 3) == 0.0
    assert pass_at_k(5, 3, 3) == 1.0


def test_pass_at_k_of_many_samples_is_the_usual_product() -> None:
    product = math.prod(1 - 100 / i for i in range(9_901, 10_001))
    assert math.isclose(pass_at_k(10_000, 100, 100), 1 - product, rel_tol=1e-9)


def test_pass_at_1_is_the_share_that_passed_to_the_last_bit() -> None:
    assert all(pass_at_k(n, c, 1) == c / n for n in range(1, 60) for c in range(n + 1))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0), (0, 0, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="needs at least"):
        pass_at_k(n, c, k)


def test_the_mean_is_over_problems_that_have_k_samples() -> None:
    counts = [(4, 2), (2, 0), (1, 1), (0, 0)]
    assert math.isclose(mean_pass_at_k(counts, 1), (0.5 + 0 + 1) / 3)
    assert math.isclose(mean_pass_at_k(counts, 2), (5 / 6 + 0) / 2)
    with pytest.raises(ValueError, match="no problem has 5"):
        mean_pass_at_k(counts, 5)


def test_only_what_every_problem_allows_is_reported() -> None:
    assert reported_ks([(10, 3), (12, 0), (0, 0)]) == [1, 5, 10]
    assert reported_ks([(4, 4), (9, 9)]) == [1]
    assert reported_ks([]) == []


def test_wilson_interval_by_hand() -> None:
    # z = 1.959964, 8 of 10: centre (0.8 + z²/20) / (1 + z²/10), half width z·sqrt(0.016 + z²/400) / (1 + z²/10).
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.490162, abs=1e-6)
    assert high == pytest.approx(0.943318, abs=1e-6)


def test_an_interval_at_the_edge_still_has_width() -> None:
    estimated = estimate([(1, 0)] * 20, 1)
    assert estimated.value == 0.0
    assert estimated.low == pytest.approx(0.0, abs=1e-12)
    assert 0.1 < estimated.high < 0.2


def test_the_interval_is_wilsons_where_each_problem_passes_or_fails() -> None:
    estimated = estimate([(1, 1)] * 8 + [(1, 0)] * 2, 1)
    assert (estimated.low, estimated.high) == wilson(8, 10)
    assert estimated.problems == 10


def test_the_bootstrap_interval_is_near_the_normal_one_and_fixed_by_its_seed() -> None:
    counts = [(4, i % 5) for i in range(200)]
    estimated = estimate(counts, 1)
    half = 1.96 * (sum((c / 4 - estimated.value) ** 2 for _, c in counts) / 200) ** 0.5 / 200**0.5
    assert estimated.low == pytest.approx(estimated.value - half, abs=0.01)
    assert estimated.high == pytest.approx(estimated.value + half, abs=0.01)
    assert estimated == estimate(counts, 1)
    assert estimated != estimate(counts, 1, seed=1)


def test_a_gain_is_paired_over_the_problems_that_both_have_samples_enough_for() -> None:
    ours = {"a": (4, 3), "b": (4, 1), "c": (2, 2), "only ours": (4, 4)}
    base = {"b": (4, 2), "a": (4, 1), "c": (1, 0), "only theirs": (4, 4)}
    gain = paired_difference(ours, base, 2)
    assert gain is not None
    # pass@2 of a: 1 - 0 against 1 - 3/6; of b: 1 - 3/6 against 1 - 1/6. c has one sample too few of the base.
    assert gain.value == pytest.approx((3 / 6 + (3 / 6 - 5 / 6)) / 2)
    assert gain.problems == 2
    assert (gain.low, gain.high) == (pytest.approx(-1 / 3), pytest.approx(1 / 2))  # two problems: either of them twice


def test_a_gain_over_problems_of_which_none_is_shared_is_unknown() -> None:
    assert paired_difference({"a": (2, 1)}, {"b": (2, 1)}, 1) is None
    assert paired_difference({"a": (2, 1)}, {"a": (1, 1)}, 2) is None
    assert paired_difference({"a": (2, 1)}, {"a": (2, 0)}, 2) is not None


def test_the_paired_interval_is_that_of_the_normal_law_where_problems_are_many() -> None:
    """Hard and easy problems, one in five gained: the spread between problems cancels, that of the gains is left."""
    base = {str(i): (10, i % 11) for i in range(440)}
    ours = {task: (n, min(n, c + (int(task) % 5 == 0))) for task, (n, c) in base.items()}
    gain = paired_difference(ours, base, 1)
    assert gain is not None
    gains = [ours[task][1] / 10 - base[task][1] / 10 for task in base]
    mean = sum(gains) / len(gains)
    spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / len(gains) / len(gains))
    assert gain.value == pytest.approx(mean)
    assert (gain.low, gain.high) == (
        pytest.approx(mean - 1.96 * spread, abs=5e-4),
        pytest.approx(mean + 1.96 * spread, abs=5e-4),
    )
    apart = estimate(list(ours.values()), 1)
    assert gain.high - gain.low < (apart.high - apart.low) / 4


def test_the_paired_interval_does_not_follow_from_the_order_of_problems() -> None:
    ours, base = {str(i): (3, i % 4) for i in range(30)}, {str(i): (3, i % 3) for i in range(30)}
    assert paired_difference(ours, base, 1) == paired_difference(dict(reversed(ours.items())), base, 1)
