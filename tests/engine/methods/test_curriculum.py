"""Pass rates, weights and difficulties by hand, and the order in which problems come."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from engine.methods.curriculum import Measured, difficulty, measured, weight, weighted_order


def test_a_problems_rate_is_half_its_newest_groups() -> None:
    rates = measured({}, [("a", [True, False, False, False]), ("b", [True, True])])
    assert rates == {"a": Measured(0.25, 0), "b": Measured(1.0, 1)}
    later = measured(rates, [("a", [True, True]), ("c", [])])
    assert later == {"a": Measured(0.625, 1), "b": Measured(1.0, 1)}
    assert rates["a"] == Measured(0.25, 0)


def test_groups_without_a_difference_are_counted_until_one_differs() -> None:
    rates = measured({}, [("a", [False, False])] * 3 + [("b", [True])] * 2)
    assert (rates["a"].settled, rates["b"].settled) == (3, 2)
    assert measured(rates, [("a", [False, True])])["a"].settled == 0


def test_the_weight_is_halved_from_the_second_such_group_on_three_times_at_most() -> None:
    assert weight(None) == 1
    assert [weight(Measured(0.0, n)) for n in range(7)] == [1, 1, 0.5, 0.25, 0.125, 0.125, 0.125]


def test_an_epoch_has_every_problem_once_and_follows_from_its_seed() -> None:
    weights = [1.0, 0.125, 0.5, 1.0]
    twice = list(islice(weighted_order(weights, 3), 8))
    assert sorted(twice[:4]) == sorted(twice[4:]) == [0, 1, 2, 3]
    assert twice == list(islice(weighted_order(weights, 3), 8))
    assert len({tuple(islice(weighted_order(weights, seed), 4)) for seed in range(20)}) > 5


def test_the_first_of_an_epoch_is_drawn_in_proportion_to_weight() -> None:
    first = Counter(next(weighted_order([1.0, 0.125, 0.5], seed)) for seed in range(4000))
    assert first[0] / 4000 == pytest.approx(1 / 1.625, abs=0.03)
    assert first[1] / 4000 == pytest.approx(0.125 / 1.625, abs=0.03)


@pytest.mark.parametrize(
    ("rate", "found"),
    [(0.0, "hard"), (0.24, "hard"), (0.25, "middle"), (0.75, "middle"), (0.76, "easy"), (1.0, "easy")],
)
def test_difficulty_is_by_the_pass_rate(rate: float, found: str) -> None:
    assert difficulty(Measured(rate, 0)) == found
    assert difficulty(None) == "new"
