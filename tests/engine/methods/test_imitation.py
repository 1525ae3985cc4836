"""Plans of updates: their sequences follow from the seed alone, and spend the budget."""

from __future__ import annotations

import math
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from engine.methods.imitation import estimated_updates, plan_batches


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 200), st.integers(1, 500), st.integers(0, 9)
)
def test_batches_reach_the_budget_and_no_more_than_they_must(
    sizes: list[int], step_tokens: int, budget: int, seed: int
) -> None:
    batches = list(plan_batches(sizes, step_tokens, budget, seed))
    totals = [sum(sizes[index] for index in batch) for batch in batches]
    assert sum(totals) >= budget
    assert sum(totals) - sizes[batches[-1][-1]] < budget
    assert all(total >= step_tokens for total in totals[:-1])
    # Without its last sequence no batch would have been full.
    assert all(total - sizes[batch[-1]] < step_tokens for total, batch in zip(totals, batches, strict=True))


def test_the_plan_follows_from_the_seed() -> None:
    sizes = list(range(1, 30))
    assert list(plan_batches(sizes, 40, 300, 5)) == list(plan_batches(sizes, 40, 300, 5))
    assert list(plan_batches(sizes, 40, 300, 5)) != list(plan_batches(sizes, 40, 300, 6))


def test_without_a_budget_the_plan_goes_on_as_it_began() -> None:
    sizes = list(range(1, 30))
    short = list(plan_batches(sizes, 40, 300, 5))
    assert list(islice(plan_batches(sizes, 40, math.inf, 5), len(short) - 1)) == short[:-1]


@given(
    st.lists(st.integers(5, 50), min_size=1, max_size=20),
    st.integers(1, 200),
    st.integers(50, 300),
    st.integers(1, 4),
    st.integers(0, 9),
)
def test_rounds_see_what_one_plan_of_their_whole_budget_sees(
    sizes: list[int], step_tokens: int, tokens: int, rounds: int, seed: int
) -> None:
    """NTP with ``rounds * tokens`` and M-steps of ``tokens`` a round: the same traces, equally often, in one order."""
    whole = [i for batch in plan_batches(sizes, step_tokens, rounds * tokens, seed) for i in batch]
    parts = [
        i
        for round_ in range(rounds)
        for batch in plan_batches(sizes, step_tokens, (round_ + 1) * tokens, seed, round_ * tokens)
        for i in batch
    ]
    assert parts == whole


def test_a_round_whose_budget_was_overshot_still_takes_an_update() -> None:
    assert len(list(plan_batches([100, 100], 10, 40, 0, begin=20))) == 1


def test_no_more_different_sequences_come_than_allowed_and_they_fill_the_budget() -> None:
    batches = list(plan_batches([10] * 8, 20, 200, 3, most=3))
    visits = [index for batch in batches for index in batch]
    assert len(set(visits)) == 3
    assert len(visits) == 20
    assert set(visits) == set(visits[:3])


def test_the_updates_to_come_are_estimated_from_those_taken() -> None:
    assert estimated_updates(5, 0.25) == 20
    assert estimated_updates(0, 0.0) == estimated_updates(0, 0.1) == math.inf
