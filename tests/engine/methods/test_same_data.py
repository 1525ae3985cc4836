"""Arms that imitate see the same traces equally often, or are refused with the numbers."""

from __future__ import annotations

import re

import pytest

from engine.errors import UsageFault
from engine.methods.same_data import check_same_data
from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe

SIZES = [100] * 40


def arms(**sets: str) -> dict[str, Recipe]:
    """An arm a name, each with its stages and overrides."""
    text = 'name = "n"\n[model]\nid = "random:tiny"\n[ntp]\ntokens = 6000\n[ra3]\nrounds = 3\nmstep.tokens = 2000\n'
    text += "".join(f"[arms.{name}]\n{lines}\n" for name, lines in sets.items())
    recipe = parse_recipe(text, "n")
    return {name: recipe.for_arm(name) for name in sets}


NTP, RA3 = 'stages = ["ntp", "eval"]', 'stages = ["ra3", "eval"]'


def test_equal_budgets_pass_and_are_told_in_epochs() -> None:
    told = check_same_data(arms(ntp=NTP, ra3=RA3), SIZES)
    assert told == "40 traces of 4000 tokens to train on: ntp 6000 tokens, 1.5 epochs; ra3 3 x 2000 tokens, 1.5 epochs"


def test_unequal_budgets_are_refused_with_the_numbers_and_what_to_set() -> None:
    more = RA3 + '\nset = {"ra3.mstep.tokens" = 6000}'
    words = "ntp 6000 tokens, 1.5 epochs; ra3 3 x 6000 tokens, 4.5 epochs; set ntp.tokens = 18000"
    with pytest.raises(UsageFault, match=re.escape(words)):
        check_same_data(arms(ntp=NTP, ra3=more), SIZES)


@pytest.mark.parametrize("tokens", [1999, 2001])
def test_a_token_too_few_or_too_many_is_refused(tokens: int) -> None:
    with pytest.raises(UsageFault, match=f"3 x {tokens}"):
        check_same_data(arms(ntp=NTP, ra3=RA3 + f'\nset = {{"ra3.mstep.tokens" = {tokens}}}'), SIZES)


@pytest.mark.parametrize(
    "free",
    [
        {"ra3": RA3 + '\nset = {"ra3.rounds" = 7}'},
        {"ntp": NTP + '\nset = {"ntp.seconds" = 9.0}', "ra3": RA3 + '\nset = {"ra3.rounds" = 7}'},
        {"ntp": NTP + '\nset = {"ntp.flops_of" = "ra3"}', "ra3": RA3 + '\nset = {"ra3.rounds" = 7}'},
        {"ntp": NTP, "line": RA3 + '\nset = {"ra3.mstep.tokens" = 0}'},
        {"ntp": NTP, "both": 'stages = ["ntp", "ra3"]\nset = {"ra3.rounds" = 7}'},
        {"short": NTP + '\nset = {"ntp.tokens" = 10}', "ntp": NTP, "ra3": RA3},
    ],
)
def test_what_is_compared_by_other_means_or_with_nothing_is_free(free: dict[str, str]) -> None:
    check_same_data(arms(**free), SIZES)


def test_fewer_traces_than_a_rounds_tokens_reach_are_refused_beside_ntp_alone() -> None:
    few = RA3 + '\nset = {"ra3.mstep.traces" = 19}'
    with pytest.raises(UsageFault, match=r"arm ra3: ra3\.mstep\.traces = 19, but the 2000 tokens .* reach 20 of 40"):
        check_same_data(arms(ntp=NTP, ra3=few), SIZES)
    check_same_data(arms(ra3=few), SIZES)
    check_same_data(arms(ntp=NTP, ra3=few.replace("19", "20")), SIZES)
