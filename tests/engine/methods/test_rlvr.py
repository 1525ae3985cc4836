"""GRPO's advantages by hand, and which samples count."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.rlvr import group_advantages

ALL = np.ones(4, dtype=bool)


def test_advantages_are_rewards_in_standard_deviations_of_their_group() -> None:
    found = group_advantages(np.array([1.0, 0.0, 0.0, 1.0]), ALL, "group")
    assert found.tolist() == [1, -1, -1, 1]
    assert group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), ALL, "group").tolist() == pytest.approx(
        [3**0.5, *[-(3**-0.5)] * 3]
    )


def test_without_normalisation_they_are_rewards_less_the_mean() -> None:
    assert group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), ALL, "none").tolist() == [0.75, -0.25, -0.25, -0.25]


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_group_of_equal_rewards_teaches_nothing(reward: float) -> None:
    assert not group_advantages(np.full(4, reward), ALL, "group").any()


def test_a_sample_that_does_not_count_is_in_neither_mean_nor_loss() -> None:
    kept = np.array([True, True, False, True])
    found = group_advantages(np.array([1.0, 0.0, 1.0, 0.0]), kept, "none")
    assert found.tolist() == pytest.approx([2 / 3, -1 / 3, 0, -1 / 3])


def test_one_sample_that_counts_has_nothing_to_be_compared_with() -> None:
    assert not group_advantages(np.array([1.0, 0.0, 0.0, 0.0]), np.array([True, False, False, False]), "group").any()
