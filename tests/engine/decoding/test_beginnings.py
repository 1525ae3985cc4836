"""The longest common beginning, against looking at every sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.decoding.beginnings import Beginnings, common

SEQUENCES = st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=12)
SEQUENCE = st.lists(st.integers(0, 2), max_size=6)


@given(SEQUENCES, SEQUENCE)
def test_the_longest_is_that_of_looking_at_all(held: list[list[int]], ids: list[int]) -> None:
    beginnings = Beginnings((sequence, number) for number, sequence in enumerate(held))
    length, number = beginnings.longest(ids)
    assert length == max((common(sequence, ids) for sequence in held), default=0)
    assert number == -1 if not held else common(held[number], ids) == length


@given(SEQUENCES, SEQUENCE)
def test_those_that_equal_it_may_be_passed_over(held: list[list[int]], ids: list[int]) -> None:
    beginnings = Beginnings((sequence, number) for number, sequence in enumerate(held))
    others = [sequence for sequence in held if sequence != ids]
    length, number = beginnings.longest(ids, but_itself=True)
    assert length == max((common(sequence, ids) for sequence in others), default=0)
    assert number == -1 if not others else held[number] != ids


@given(SEQUENCES, SEQUENCES, SEQUENCE)
def test_what_came_counts_and_what_went_does_not(
    held: list[list[int]], others: list[list[int]], ids: list[int]
) -> None:
    beginnings = Beginnings((sequence, number) for number, sequence in enumerate(held))
    for number, sequence in enumerate(others, len(held)):
        beginnings.add(sequence, number)
    for number, sequence in enumerate(held):
        beginnings.remove(sequence, number)
    length, number = beginnings.longest(ids)
    assert length == max((common(sequence, ids) for sequence in others), default=0)
    assert number == -1 if not others else number >= len(held)


def test_equal_places_are_told_apart_by_their_number() -> None:
    beginnings = Beginnings([([1, 2], 0), ([1, 2], 1)])
    beginnings.remove([1, 2], 0)
    assert beginnings.longest([1, 2, 3]) == (2, 1)
