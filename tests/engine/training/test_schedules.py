"""The learning rate's shape, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recipe.sections import Optimiser
from engine.training.schedules import rate_factor

SHAPES = {
    "constant": [1 / 3, 2 / 3, 1, 1, 1, 1],
    "linear": [1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4],
    "cosine": [1 / 3, 2 / 3, 1, (2 + math.sqrt(2)) / 4, 1 / 2, (2 - math.sqrt(2)) / 4],
}


@pytest.mark.parametrize("schedule", SHAPES)
def test_the_rate_rises_over_the_warm_up_and_falls_over_what_is_left(schedule: str) -> None:
    shape = Optimiser(schedule=schedule).schedule
    assert [rate_factor(shape, 2, taken, 6) for taken in range(6)] == pytest.approx(SHAPES[schedule])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_behind_the_last_planned_update_the_rate_is_zero_and_stays_so(schedule: str) -> None:
    shape = Optimiser(schedule=schedule).schedule
    assert [rate_factor(shape, 0, taken, 4) for taken in (4, 5)] == pytest.approx([0, 0], abs=1e-12)
    assert rate_factor(shape, 3, 3, 3) == pytest.approx(0, abs=1e-12)  # a warm-up as long as the stage


def test_a_stage_of_which_no_end_is_known_keeps_its_rate() -> None:
    assert rate_factor("cosine", 0, 1000, math.inf) == 1


@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(0, 9), st.integers(0, 30), st.integers(1, 30))
def test_the_factor_is_a_share_of_the_rate_also_where_the_warm_up_outlasts_the_stage(
    schedule: str, warmup: int, taken: int, planned: int
) -> None:
    assert 0 <= rate_factor(Optimiser(schedule=schedule).schedule, warmup, taken, planned) <= 1
