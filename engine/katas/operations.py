"""What a kata's steps do: a table an operation, by the kind of value they work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Operation:
    """One step of a function: a phrase of its docstring, and an expression of its body."""

    phrase: str
    """What the docstring asks for, the key as ``{k}``."""
    expression: str
    """What the code says, of the value ``{v}`` and the key ``{k}``."""
    novel: bool = False
    """Kept out of pre-training: mid-training is where a model first sees it."""

    @property
    def keyed(self) -> bool:
        """Does it need a key?"""
        return "{k}" in self.expression

    @cached_property
    def function(self) -> Callable[[Any, int], Any]:
        """The expression as a function of value and key."""
        scope = {"timedelta": timedelta}
        return eval(f"lambda v, k: {self.expression.format(v='v', k='k')}", scope)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Domain:
    """A kind of value, and what can be done with it."""

    name: str
    variable: str
    header: str
    """What stands before the function."""
    operations: tuple[Operation, ...]


_LISTS = (
    Operation("add {k} to each", "[x + {k} for x in {v}]"),
    Operation("multiply each by {k}", "[x * {k} for x in {v}]"),
    Operation("drop the first {k}", "{v}[{k}:]"),
    Operation("keep the first {k}", "{v}[:{k}]"),
    Operation("keep those above {k}", "[x for x in {v} if x > {k}]"),
    Operation("append {k}", "{v} + [{k}]"),
    Operation("reverse it", "{v}[::-1]"),
    Operation("sort it", "sorted({v})"),
    Operation("put {k} in front", "[{k}] + {v}", novel=True),
    Operation("cap each at {k}", "[min(x, {k}) for x in {v}]", novel=True),
    Operation("leave out {k}", "[x for x in {v} if x != {k}]", novel=True),
    Operation("rotate it by {k}", "{v}[{k}:] + {v}[:{k}]", novel=True),
)
_TEXTS = (
    Operation("drop the first {k}", "{v}[{k}:]"),
    Operation("keep the first {k}", "{v}[:{k}]"),
    Operation("add {k} dots", "{v} + '.' * {k}"),
    Operation("repeat it {k} times", "{v} * {k}"),
    Operation("reverse it", "{v}[::-1]"),
    Operation("shout it", "{v}.upper()"),
    Operation("append {k}", "{v} + str({k})", novel=True),
    Operation("indent it by {k}", "' ' * {k} + {v}", novel=True),
)
_NUMBERS = (
    Operation("add {k}", "{v} + {k}"),
    Operation("multiply by {k}", "{v} * {k}"),
    Operation("subtract {k}", "{v} - {k}"),
    Operation("raise it to at least {k}", "max({v}, {k})"),
    Operation("negate it", "-{v}"),
    Operation("cap it at {k}", "min({v}, {k})", novel=True),
    Operation("take it from {k}", "{k} - {v}", novel=True),
    Operation("take the gap to {k}", "abs({v} - {k})", novel=True),
)
_DATES = (
    Operation("go {k} days on", "{v} + timedelta(days={k})"),
    Operation("go {k} weeks on", "{v} + timedelta(weeks={k})"),
    Operation("go {k} days back", "{v} - timedelta(days={k})", novel=True),
    Operation("go {k} weeks back", "{v} - timedelta(weeks={k})", novel=True),
)

DOMAINS = (
    Domain("lists", "xs", "", _LISTS),
    Domain("text", "s", "", _TEXTS),
    Domain("numbers", "n", "", _NUMBERS),
    Domain("dates", "d", "from datetime import timedelta\n\n\n", _DATES),
)
"""What katas are about."""

Value = list[int] | str | int | date
"""What a kata's function is given and gives back."""
