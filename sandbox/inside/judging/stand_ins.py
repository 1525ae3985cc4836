"""What the judge's stand-ins for the candidate's objects may ask it, and what is decided here without it.

A handle is never equal to a value by the candidate's word, nor is anything decided by what came of arithmetic of
the two. Where the candidate's own operators decide something for the test all the same (two of its objects are
compared, `in`, truth, arithmetic with a value of the test), that is counted, and the result names it.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

from ..protocol.mirror_types import is_handle, is_mirror
from ..protocol.operators import ARITHMETIC, COMPARISONS, NUMBERS, Ask, sent

ALONE = 64
"""Steps of an iterator that are asked for one by one, before several are asked for at once: what a test looks at step
by step is exact, and what it only collects is not slow."""
MOST_AT_ONCE = 256
_VIEWS = ("dict_keys", "dict_items")
_SUMS = tuple(f"__{side}{name}__" for name in ("add", "mul", "matmul", "pow") for side in ("", "r", "i"))
"""Arithmetic of which a test asks what it gives; all other tells it how far an answer is from a value."""
_FOLLOWED = (
    *(
        "__call__",
        "__getattribute__",
        "__getitem__",
        "__copy__",
        "__deepcopy__",
        "__enter__",
        "__aenter__",
        "__await__",
    ),
    *(*ARITHMETIC, *NUMBERS),
)
"""What may be asked of a difference: it gives objects, which are differences too."""
_FREE = (
    *COMPARISONS,
    "values of",
    "__hash__",
    "__setattr__",
    "__delattr__",
    "__setitem__",
    "__delitem__",
    "__exit__",
    "__aexit__",
)
"""What may be asked of a difference and says nothing of it."""


_CONTAINERS = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)


class Undecided(BaseException):
    """The test left something to the candidate that is not for it to say; no test may catch it as an Exception."""


class Operators:
    """The operators of the judge's stand-ins."""

    def __init__(
        self, ask: Ask, note_raised: Callable[[BaseException, str], None], failed_here: Callable[[Any], bool]
    ) -> None:
        self._ask, self._note_raised, self._failed_here = ask, note_raised, failed_here
        self.own_word = 0
        """How often the candidate's own operators decided something."""
        self.undecided: Undecided | None = None
        """The first thing that was not for the candidate to say."""
        self._mixed: dict[int, Any] = {}
        """Results of arithmetic with a value of the test, by ``id``: the candidate has seen what they are made of."""
        self._differences: dict[int, Any] = {}
        """Those of them by which a test learns how far an answer is from a value, and all that came of these."""
        self._ahead: dict[int, _Ahead] = {}
        self._methods = {
            "__contains__": self._contains,
            "__hash__": self._hash,
            "__next__": self._next,
            "__exit__": self._exit,
            "__aexit__": self._exit_later,
        }

    def of(self, name: str) -> Callable[..., Any]:
        """The operator of a name, for a class."""
        if name in COMPARISONS:
            return self._compared(name)
        if name in ARITHMETIC:
            return self._calculated(name)
        if name in NUMBERS:
            return self._of_one(name)
        method = self._methods.get(name)
        return sent(self._ask)(name) if method is None else _to_be_bound(method)

    def follow(self, ask: Ask, mirror: Any, name: str, arguments: tuple[Any, ...], keywords: Any) -> Any:
        """Send one operation, unless it would have the candidate say how far an answer is from a value."""
        if id(mirror) in self._differences and name not in _FREE:
            if name not in _FOLLOWED:
                raise self._refused(f"{name} of a difference")
            return self._marked(ask(mirror, name, arguments, keywords), name, self._differences)
        if not is_handle(mirror) and _is_of_container(mirror, name, arguments):
            self.own_word += 1
        return ask(mirror, name, arguments, keywords)

    def _refused(self, what: str) -> Undecided:
        error = Undecided(f"{what} is not for an object of the program to say")
        self.undecided = self.undecided or error
        return error

    def _compared(self, name: str) -> Callable[[Any, Any], Any]:
        def compare(mirror: Any, other: Any) -> Any:
            if is_mirror(other):
                self.own_word += 1
                return self._ask(mirror, name, (other,))
            if _is_view(mirror) and isinstance(other, set | frozenset):
                return getattr(set, name)(set(mirror), other)
            return self._compared_with_value(mirror, name, other)

        return compare

    def _compared_with_value(self, mirror: Any, name: str, other: Any) -> Any:
        """Never equal. The class's own operator is run with another value of that type, for what it raises."""
        sample = _another(other)
        answer = self._ask(mirror, "compare", (name, sample))
        if answer is NotImplemented:
            return NotImplemented
        if name not in ("__eq__", "__ne__"):
            raise self._refused("an order of objects and values")
        if answer is (name == "__eq__") and type(sample) not in (bool, type(None)):
            raise self._refused("equality with whatever it is")
        return name == "__ne__"

    def _calculated(self, name: str) -> Callable[..., Any]:
        def calculate(mirror: Any, other: Any, *more: Any) -> Any:
            if _is_view(mirror):
                operate = getattr(set, name, None)
                return NotImplemented if operate is None else operate(set(mirror), set(other))
            own = is_mirror(other) and not more
            result = self._ask(mirror, name, (other, *more))
            if own and not (id(mirror) in self._mixed or id(other) in self._mixed):
                return result
            apart = id(other) in self._differences or not (own or name in _SUMS)
            return self._marked(result, name, self._differences if apart else self._mixed)

        return calculate

    def _of_one(self, name: str) -> Callable[..., Any]:
        def convert(mirror: Any, *arguments: Any) -> Any:
            self.own_word += name == "__bool__"
            result = self._ask(mirror, name, arguments)
            return self._marked(result, name, self._mixed) if id(mirror) in self._mixed else result

        return convert

    def _marked(self, result: Any, name: str, mark: dict[int, Any]) -> Any:
        """What came of a value of the test and an object of the candidate is an object, or nothing that counts."""
        self.own_word += 1
        if not is_handle(result):
            raise self._refused(f"what {name} of an object and a value gives")
        self._mixed[id(result)] = mark[id(result)] = result
        return result

    def _contains(self, mirror: Any, item: Any) -> bool:
        self.own_word += 1
        return self._ask(mirror, "__contains__", (item,)) is True

    def _hash(self, mirror: Any) -> int:
        """Its own, so that equal objects meet in a set; that of a value only by chance, and then not equal to it."""
        return hash((Operators, self._ask(mirror, "__hash__")))

    def _exit(self, mirror: Any, *raised: Any) -> Any:
        """An assertion of the test that failed is not for a context manager of the candidate to suppress."""
        with self._nothing_lost(raised):
            suppressed = self._ask(mirror, "__exit__", raised)
        return False if any(map(self._failed_here, raised)) else suppressed

    async def _exit_later(self, mirror: Any, *raised: Any) -> Any:
        with self._nothing_lost(raised):
            suppressed = await self._ask(mirror, "__aexit__", raised)
        return False if any(map(self._failed_here, raised)) else suppressed

    @contextlib.contextmanager
    def _nothing_lost(self, raised: tuple[Any, ...]) -> Iterator[None]:
        """Where another exception takes the place of a failed assertion, the test is failed all the same."""
        try:
            yield
        except BaseException:
            if any(map(self._failed_here, raised)):
                self._refused("a failed assertion")
            raise

    def _next(self, mirror: Any) -> Any:
        ahead = self._ahead.get(id(mirror))
        if ahead is None:
            ahead = self._ahead[id(mirror)] = _Ahead(self._ask, self._note_raised, mirror)
        return ahead.next()


def _another(value: Any) -> Any:
    """A value of the type, by which the candidate learns nothing of this one; it cannot know it beforehand."""
    number = int.from_bytes(os.urandom(7))
    samples = {
        int: number,
        str: hex(number),
        float: number / 7,
        bytes: hex(number).encode(),
        list: [number],
        tuple: (number,),
        set: {number},
        dict: {number: number},
        bool: bool(number & 1),
        type(None): None,
    }
    return samples.get(type(value), object)


def _is_view(mirror: Any) -> bool:
    kind = type(mirror)
    return kind.__name__ in _VIEWS and kind.__module__ == "builtins"


def _is_of_container(mirror: Any, name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a container's class answers for what its base would answer."""
    base = next((kind for kind in type(mirror).__mro__ if kind in _CONTAINERS), None)
    return name == "__getattribute__" and base is not None and hasattr(base, arguments[0])


def _to_be_bound(method: Any) -> Callable[..., Any]:
    """A function, which a class gives its instance; a method of ours has one already."""

    def call(mirror: Any, *arguments: Any) -> Any:
        return method(mirror, *arguments)

    return call


class _Ahead:
    """An iterator's items that came before they were wanted."""

    def __init__(self, ask: Ask, note_raised: Callable[[BaseException, str], None], mirror: Any) -> None:
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
        self._note_raised(end or StopIteration(), "__next__")
        raise end or StopIteration
