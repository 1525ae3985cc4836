"""Do the katas keep what is said of them: no function in two splits, no mutant that hidden tests let pass?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice

from engine.katas.judging import hidden_inputs, mutants
from engine.katas.splits import SPLITS, draw_katas


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at so many katas of each split found."""

    katas: int
    """Of each split."""
    functions: int
    """Different ones among all of them, by normal form."""
    shared: int
    """Functions that stand in two splits."""
    judged: int
    """Katas of the test split for which hidden tests can be had."""
    mutants: int
    killed: int


def check_katas(count: int) -> Findings:
    """Look at the first ``count`` katas of each split, and at the mutants of those of the test split."""
    forms = {split: {kata.normal_form for kata in islice(draw_katas(split), count)} for split in SPLITS}
    shared = {form for a, b in combinations(SPLITS, 2) for form in forms[a] & forms[b]}
    made = killed = judged = 0
    for kata in islice(draw_katas("test"), count):
        inputs = hidden_inputs(kata)
        if inputs is None:
            continue
        judged += 1
        for mutant in mutants(kata):
            made += 1
            killed += any(mutant.apply(value) != kata.apply(value) for value in inputs)
    return Findings(count, len(set.union(*forms.values())), len(shared), judged, made, killed)
