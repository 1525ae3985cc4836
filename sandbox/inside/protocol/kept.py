"""Containers that both sides hold on to: a change on one side is told to the other with the next message.

A list that a program keeps of its arguments, or that an object of its gives out, is one list for the test and for the
program. Which are kept is read from their reference counts when a call is over, so that a function that keeps nothing,
which is almost every one, costs nothing more.
"""

from __future__ import annotations

import sys
from typing import Any

from .reading import Reader
from .telling import Otherwise, Teller
from .wire import Wire, WireError, deeply, dumps

_HELD_HERE = 2
"""References that the table and the question itself make."""


class Kept:
    """The table of one side. Numbers that this side gives are even or odd, the other's are not."""

    def __init__(self, first: int, otherwise: Otherwise, read: Any) -> None:
        self._next = first
        self._otherwise, self._read = otherwise, read
        self._boxes: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        """By the boxes' ``id``."""
        self._states: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._boxes)

    def __getitem__(self, number: Any) -> Any:
        return self._boxes[number]

    def keep(self, box: Any) -> int:
        """Its number, a new one of this side's."""
        number = self.numbers.get(id(box))
        if number is None:
            number, self._next = self._next, self._next + 2
            self.add(number, box)
        return number

    def add(self, number: Any, box: Any) -> None:
        """Keep it under the number that the other side gave it."""
        if type(number) is not int or self._boxes.get(number, box) is not box:
            raise WireError("a number of its own is wanted")
        self._boxes[number] = box
        self.numbers[id(box)] = number

    def settle(self) -> None:
        """Remember what is in those that are new: the other side knows it."""
        if len(self._boxes) == len(self._states):
            return
        for number in self._boxes.keys() - self._states.keys():
            self._states[number] = dumps(self._content(number, briefly=True)[0])

    def _content(self, number: int, briefly: bool) -> tuple[Wire, Teller]:
        box = self._boxes[number]

        def tell() -> tuple[Wire, Teller]:
            teller = Teller(self._otherwise, kept=self.numbers, briefly=briefly)
            return teller.content(teller.number(box), box), teller

        return deeply(tell)

    def changes(self) -> list[Wire]:
        """For each whose content changed since it was last told: its number, its content, new numbers for what is
        nested in it."""
        changed = []
        for number in list(self._boxes):
            if dumps(self._content(number, briefly=True)[0]) != self._states.get(number):
                tree, teller = self._content(number, briefly=False)
                changed.append([number, tree, [self.keep(box) for box in teller.boxes[1:]]])
                self._states.pop(number, None)
        return changed

    def apply(self, changed: Wire) -> None:
        """What the other side told of its changes."""
        for number, tree, nested in changed:
            reader = Reader(self._read, [self._boxes[number]])
            reader.refill(self._boxes[number], tree)
            for inner, box in zip(nested, reader.boxes[1:], strict=True):
                self.add(inner, box)
            self._states.pop(number, None)

    def forget_unused(self) -> list[int]:
        """Drop those that nothing else refers to here any more; their numbers."""
        unused = [number for number in self._boxes if sys.getrefcount(self._boxes[number]) <= _HELD_HERE]
        self.forget(unused)
        return unused

    def forget(self, numbers: list[int]) -> None:
        """Drop those that the other side no longer has."""
        for number in numbers:
            box = self._boxes.pop(number, None)
            self.numbers.pop(id(box), None)
            self._states.pop(number, None)
