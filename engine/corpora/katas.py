"""The katas of the mid-training split as traces, each line with the comment that would help to write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from engine.corpora.traces import Trace, parse_trace
from engine.katas.programs import MOST_TERMS, Kata
from engine.katas.splits import draw_katas

DEFAULT_LIMIT = 2000
"""Traces, where a recipe does not say how many: there is no end of them."""


def kata_traces(limit: int | None, depth: int | None, seed: int) -> list[Trace]:
    """So many traces, whose keys have at most ``depth`` terms, in an order that follows from the seed; none twice."""
    drawn = draw_katas("midtrain", seed, depth=depth or MOST_TERMS)
    katas = islice(_each_once(drawn), limit or DEFAULT_LIMIT)
    return [
        parse_trace(
            kata.prompt + kata.commented,
            id=f"katas/{number}",
            prompt_end=kata.prompt.count("\n") + 1,
            where=kata.normal_form,
        )
        for number, kata in enumerate(katas)
    ]


def _each_once(katas: Iterable[Kata]) -> Iterator[Kata]:
    """Without those whose docstring came before: of keys of one term the same may be drawn again."""
    seen: set[str] = set()
    for kata in katas:
        if kata.prompt not in seen:
            seen.add(kata.prompt)
            yield kata
