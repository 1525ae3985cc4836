"""Whether the arms of a launch learn from the same data: told in numbers where the recipe meets the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.errors import UsageFault
from engine.methods.imitation import ORDER, plan_batches
from engine.recipe.recipe import Recipe
from engine.runs.stages.seeds import Seeds


class Share(NamedTuple):
    """How much of the corpus an arm imitates under a budget of tokens."""

    arm: str
    rounds: int
    tokens: int
    """Of the traces, a round."""
    traces: int | None
    """At most so many different ones a round."""
    seed: int
    """Of the order in which it walks the corpus."""

    def words(self, corpus_tokens: int) -> str:
        """The arithmetic, as a person would check it."""
        times = f"{self.rounds} x {self.tokens}" if self.rounds > 1 else str(self.tokens)
        return f"{self.arm} {times} tokens, {self.rounds * self.tokens / corpus_tokens:.3g} epochs"


def check_same_data(arms: Mapping[str, Recipe], sizes: Sequence[int]) -> str:
    """What each arm of a launch sees of a corpus with traces of ``sizes`` tokens, in one line.

    Every arm that has EM rounds must see as many tokens as one that has NTP, where the launch has both on this corpus;
    all walk it in one order, so the traces and epochs are the same then. Budgets in seconds or operations are free.

    Raises:
        UsageFault: they do not; with the numbers, and what to set.
    """
    shares = {"ntp": [_of_ntp(*arm) for arm in arms.items()], "ra3": [_of_ra3(*arm) for arm in arms.items()]}
    ntp, ra3 = ([share for share in shares[kind] if share] for kind in ("ntp", "ra3"))
    for share in ra3 if ntp else ():
        _check_budgets(share, ntp, sum(sizes))
        _check_traces(share, sizes)
    seen = "; ".join(share.words(sum(sizes)) for share in [*ntp, *ra3])
    return f"{len(sizes)} traces of {sum(sizes)} tokens to train on" + (f": {seen}" if seen else "")


def _of_ntp(arm: str, recipe: Recipe) -> Share | None:
    imitates = _trains(arm, recipe) == {"ntp"} and recipe.ntp.by_tokens
    return Share(arm, 1, recipe.ntp.tokens, None, _order(recipe)) if imitates else None


def _of_ra3(arm: str, recipe: Recipe) -> Share | None:
    mstep = recipe.ra3.mstep
    imitates = _trains(arm, recipe) == {"ra3"} and mstep.tokens
    return Share(arm, recipe.ra3.rounds, mstep.tokens, mstep.traces, _order(recipe)) if imitates else None


def _order(recipe: Recipe) -> int:
    return Seeds(recipe.seed, 0).common(ORDER)


def _trains(arm: str, recipe: Recipe) -> set[str]:
    """Which of the two stages that imitate the arm has: one with both is compared with neither."""
    return {"ntp", "ra3"} & set(recipe.arms[arm].stages)


def _check_budgets(share: Share, ntp: Sequence[Share], corpus_tokens: int) -> None:
    total = share.rounds * share.tokens
    if any(other.tokens == total for other in ntp):
        return
    told = "; ".join(part.words(corpus_tokens) for part in [*ntp, share])
    raise UsageFault(
        f"these arms do not see the same data: {told}; set ntp.tokens = {total} (ra3.rounds * ra3.mstep.tokens), or "
        f"start them apart with --arm"
    )


def _check_traces(share: Share, sizes: Sequence[int]) -> None:
    """Refuse fewer traces a round than its tokens reach: they would be seen more often than NTP sees them."""
    if share.traces is None:
        return
    for round_ in range(share.rounds):
        begin, end = round_ * share.tokens, (round_ + 1) * share.tokens
        reached = len({index for batch in plan_batches(sizes, 1, end, share.seed, begin) for index in batch})
        if share.traces < reached:
            raise UsageFault(
                f"arm {share.arm}: ra3.mstep.traces = {share.traces}, but the {share.tokens} tokens of a round reach "
                f"{reached} of {len(sizes)} traces, which NTP sees; leave ra3.mstep.traces out"
            )
