"""The keys of katas: digits that a docstring tells as a sum to be worked out."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

NOUNS = (
    *("apples", "pears", "figs", "nuts", "plums", "limes", "grapes", "melons", "kiwis", "beans", "peas", "leeks"),
    *("onions", "carrots", "beets", "eggs", "buns", "cakes", "pies", "rolls", "teas", "milks", "jams", "oats"),
)
"""What is counted. No noun stands twice in a kata, so that each tells its place."""


class Term(NamedTuple):
    """So many of something, put in or taken out."""

    sign: int
    noun: str
    amount: int


@dataclass(frozen=True, slots=True)
class Key:
    """A digit: that of one term, or the sum of several modulo 10."""

    terms: tuple[Term, ...]

    @property
    def value(self) -> int:
        """0 to 9."""
        return self.balances[-1]

    @property
    def balances(self) -> list[int]:
        """The sum after each term, modulo 10."""
        balance, balances = 0, []
        for term in self.terms:
            balance = (balance + term.sign * term.amount) % 10
            balances.append(balance)
        return balances

    @property
    def told(self) -> str:
        """As the docstring tells it: `4`, or `apples 3 + pears 9 - figs 4 mod 10`."""
        if len(self.terms) == 1:
            return str(self.value)
        first, *rest = self.terms
        signed = (f" {'+' if term.sign > 0 else '-'} {term.noun} {term.amount}" for term in rest)
        return f"{first.noun} {first.amount}{''.join(signed)} mod 10"

    @property
    def worked_out(self) -> str | None:
        """The sum worked out, term by term, each with the balance after it; None where there is nothing to work out."""
        if len(self.terms) == 1:
            return None
        first, *rest = zip(self.terms, self.balances, strict=True)
        signed = (f" {'+' if term.sign > 0 else '-'} {term.noun} {term.amount} {balance}" for term, balance in rest)
        return f" {first[0].noun} {first[0].amount}{''.join(signed)}"


def draw_key(random: Random, terms: int, nouns: list[str]) -> Key:
    """A key of so many terms, about nouns that are taken from the end of ``nouns``."""
    drawn = []
    for place in range(terms):
        sign = 1 if place == 0 else random.choice((1, -1))
        drawn.append(Term(sign, nouns.pop(), random.randrange(10)))
    return Key(tuple(drawn))
