"""Plans of updates: their sequences follow from the seed alone, and spend the budget."""

from __future__ import annotations

import math
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from engine.methods.imitation import plan_batches


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
