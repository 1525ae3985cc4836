"""A kata's hidden tests: inputs on which the expert's function differs from each of its mutants.

Mutants of a kata are itself with a step left out, with another value of a key, and with another operation of the same
kind in a step's place. A kata one of whose mutants no input tells apart (a constant that does not matter, say) has no
hidden tests: it would let a wrong program pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from random import Random

from engine.katas.keys import Key, Term
from engine.katas.operations import Domain, Value
from engine.katas.programs import Kata, Step

_POOL = 40
_FEWEST = 4


def hidden_inputs(kata: Kata) -> list[Value] | None:
    """Inputs that tell the kata from all its mutants, a few at least; None where there are no such."""
    living = list(mutants(kata))
    telling: list[Value] = []
    spare: list[Value] = []
    for value in _inputs(kata.domain):
        right = kata.apply(value)
        surviving = [mutant for mutant in living if mutant.apply(value) == right]
        (telling if len(surviving) < len(living) else spare).append(value)
        living = surviving
    return None if living else telling + spare[: max(0, _FEWEST - len(telling))]


def mutants(kata: Kata) -> Iterator[Kata]:
    """Functions that one mistake makes of the kata."""
    for number, step in enumerate(kata.steps):
        before, after = kata.steps[:number], kata.steps[number + 1 :]
        yield replace(kata, steps=before + after)
        yield from (replace(kata, steps=(*before, wrong, *after)) for wrong in _mistaken(step, kata.domain))


def _mistaken(step: Step, domain: Domain) -> Iterator[Step]:
    if step.key is not None:
        for digit in range(10):
            if digit != step.key.value:
                yield Step(step.operation, Key((Term(1, "", digit),)))
    key = step.key or Key((Term(1, "", 1),))
    for operation in domain.operations:
        if operation != step.operation:
            yield Step(operation, key)


@cache
def _inputs(domain: Domain) -> tuple[Value, ...]:
    """Values of every kind a function of ``domain`` may meet, the same for all its katas."""
    random = Random(domain.name)
    draw = {"lists": _list, "text": _text, "numbers": _number, "dates": _date}[domain.name]
    return tuple(draw(random, size) for size in range(_POOL))


def _list(random: Random, size: int) -> Value:
    return [random.randrange(-3, 14) for _ in range(size % 14)]


def _text(random: Random, size: int) -> Value:
    return "".join(random.choice("abcdefghij") for _ in range(size % 14))


def _number(random: Random, size: int) -> Value:
    return random.randrange(-12, 30) if size else 0


def _date(random: Random, _: int) -> Value:
    return date(2024, 1, 1) + timedelta(days=random.randrange(1000))
