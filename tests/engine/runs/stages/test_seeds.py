"""Seeds and the order of the data follow from the recipe's seed alone."""

from __future__ import annotations

from itertools import islice

from engine.runs.stages.seeds import Seeds, shuffled


def test_a_seed_follows_from_the_recipes_the_stage_and_its_labels() -> None:
    seeds = Seeds(7, position=1)
    assert seeds("estep", 0, 3) == Seeds(7, position=1)("estep", 0, 3)
    others = [seeds("estep", 0, 4), seeds("estep", 1, 3), Seeds(7, 2)("estep", 0, 3), Seeds(8, 1)("estep", 0, 3)]
    assert len({seeds("estep", 0, 3), *others}) == 5


def test_a_seed_is_the_same_number_in_every_release() -> None:
    assert Seeds(7, position=1)("estep", 0, 3) == 1574315926630389501


def test_common_seeds_are_those_of_every_stage() -> None:
    assert Seeds(7, 1).common("eval", "suite", 0) == Seeds(7, 4).common("eval", "suite", 0)


def test_an_epoch_holds_every_trace_once_in_an_order_of_its_own() -> None:
    order = list(islice(shuffled(10, seed=1), 30))
    epochs = [order[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
