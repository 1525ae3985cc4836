"""The list of deliberate faults is of the tree as it is."""

from __future__ import annotations

from tests.mutants.run import LIST, misplaced, read_list


def test_each_stands_once_in_its_file_and_its_tests_are_there() -> None:
    mutants = read_list(LIST)
    assert len(mutants) >= 150
    assert misplaced(mutants) == []
