"""What the judge's stand-ins for the candidate's objects may ask it, and what is decided here without it.

A handle is never equal to a value by the candidate's word. Where the candidate's own operators decide something for the
test all the same (two of its objects are compared, `in`, truth, arithmetic with a value of the test), that is counted,
and the result names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .protocol.mirror_types import is_mirror
from .protocol.operators import ARITHMETIC, COMPARISONS, NUMBERS, Ask, sent

ALONE = 64
"""Steps of an iterator that are asked for one by one, before several are asked for at once: what a test looks at step
by step is exact, and what it only collects is not slow."""
MOST_AT_ONCE = 256
_VIEWS = ("dict_keys", "dict_items")


class Operators:
    """The operators of the judge's stand-ins."""

    def __init__(self, ask: Ask, note_raised: Callable[[BaseException], None]) -> None:
        self._ask, self._note_raised = ask, note_raised
        self.own_word = 0
        """How often the candidate's own operators decided something."""
        self._mixed: dict[int, Any] = {}
        """Results of arithmetic with a value of the test, by ``id``: the candidate has seen what they are made of."""
        self._ahead: dict[int, _Ahead] = {}

    def of(self, name: str) -> Callable[..., Any]:
        """The operator of a name, for a class."""
        match name:
            case "__contains__":
                return _to_be_bound(self._contains)
            case "__hash__":
                return _to_be_bound(self._hash)
            case "__next__":
                return _to_be_bound(self._next)
            case _ if name in COMPARISONS:
                return self._compared(name)
            case _ if name in ARITHMETIC:
                return self._calculated(name)
        return self._of_one(name) if name in NUMBERS else sent(self._ask)(name)

    def _compared(self, name: str) -> Callable[[Any, Any], Any]:
        def compare(mirror: Any, other: Any) -> Any:
            if not is_mirror(other):
                return self._as_set(mirror, name, other)
            self.own_word += 1
            return self._ask(mirror, name, (other,))

        return compare

    def _as_set(self, mirror: Any, name: str, other: Any) -> Any:
        """With a value nothing is compared by the candidate's word; a view of a dict by what is in it."""
        if type(mirror).__name__ not in _VIEWS or not isinstance(other, set | frozenset):
            return NotImplemented
        return getattr(set, name)(set(mirror), other)

    def _calculated(self, name: str) -> Callable[..., Any]:
        def calculate(mirror: Any, other: Any, *more: Any) -> Any:
            if type(mirror).__name__ in _VIEWS:
                return self._as_set(mirror, name, set(other))
            result = self._ask(mirror, name, (other, *more))
            if is_mirror(other) and not (self._is_mixed(mirror) or self._is_mixed(other)):
                return result
            return self._mix(result, name)

        return calculate

    def _of_one(self, name: str) -> Callable[..., Any]:
        def convert(mirror: Any, *arguments: Any) -> Any:
            self.own_word += name == "__bool__"
            result = self._ask(mirror, name, arguments)
            return self._mix(result, name) if self._is_mixed(mirror) else result

        return convert

    def _is_mixed(self, mirror: Any) -> bool:
        return id(mirror) in self._mixed

    def _mix(self, result: Any, name: str) -> Any:
        """What came of a value of the test and an object of the candidate is an object, or nothing that counts."""
        self.own_word += 1
        if not is_mirror(result):
            raise TypeError(f"{name} of an object of the program with a value gives no value")
        self._mixed[id(result)] = result
        return result

    def _contains(self, mirror: Any, item: Any) -> bool:
        self.own_word += 1
        return self._ask(mirror, "__contains__", (item,)) is True

    def _hash(self, mirror: Any) -> int:
        """Its own, so that equal objects meet in a set; that of a value only by chance, and then not equal to it."""
        return hash((Operators, self._ask(mirror, "__hash__")))

    def _next(self, mirror: Any) -> Any:
        ahead = self._ahead.get(id(mirror))
        if ahead is None:
            ahead = self._ahead[id(mirror)] = _Ahead(self._ask, self._note_raised, mirror)
        return ahead.next()


def _to_be_bound(method: Any) -> Callable[..., Any]:
    """A function, which a class gives its instance; a method of ours has one already."""

    def call(mirror: Any, *arguments: Any) -> Any:
        return method(mirror, *arguments)

    return call


class _Ahead:
    """An iterator's items that came before they were wanted."""

    def __init__(self, ask: Ask, note_raised: Callable[[BaseException], None], mirror: Any) -> None:
        self._ask, self._note_raised, self._mirror = ask, note_raised, mirror
        self._items: list[Any] = []
        self._end: BaseException | None = None
        self._steps = 0

    def next(self) -> Any:
        """The next item; raises what ended them."""
        self._steps += 1
        if not self._items and self._end is None:
            if self._steps <= ALONE:
                return self._ask(self._mirror, "__next__")
            items, self._end = self._ask(self._mirror, "next few", (min(self._steps, MOST_AT_ONCE),))
            self._items = items[::-1]
            if not items and self._end is None:
                raise StopIteration
        if self._items:
            return self._items.pop()
        end, self._end = self._end, None
        self._note_raised(end or StopIteration())
        raise end or StopIteration
