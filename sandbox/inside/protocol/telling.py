"""Values to trees.

``None``, booleans, strings, floats (``json`` writes nan and infinities as words and reprs that round-trip), small
integers and lists are themselves; every other kind is an object with one key, its tag. No pickle: what arrives is made
on the other side, of types that are known there.

Containers that can change are *boxes*. Both sides number them in the order in which they are met, without a word of it
in the message; one that comes again is ``{"same": number}``, and so identity and cycles cross.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from . import library
from .wire import MAX_DEPTH, PLAIN_INT, TYPES, Untellable, Wire

_ATOMS = frozenset({type(None), bool, str, float})
_INTS = {int}


def no_value(value: Any, _teller: Teller, _inside: int) -> Wire:
    """What to tell of what is no value, where there are no handles."""
    raise Untellable(f"a value of type {type(value).__name__} has no form that crosses")


Otherwise = Callable[[Any, "Teller", int], Wire]
"""What to tell of what is no value, given the number of the box in which it stands."""


class Teller:
    """Tells the values of one message, and keeps count of the boxes among them."""

    def __init__(
        self,
        otherwise: Otherwise | None = None,
        boxes: Iterable[Any] = (),
        kept: dict[int, int] | None = None,
        briefly: bool = False,
    ) -> None:
        self.briefly = briefly
        """Whether it is only told to be compared, and nobody is told what its classes are like."""
        self._kept = kept or {}
        self._otherwise = otherwise or no_value
        self.boxes = list(boxes)
        self._numbers = {id(box): number for number, box in enumerate(self.boxes)}
        self.uses = [0] * len(self.boxes)
        """How often each box stands in what was told."""
        self.within = [-1] * len(self.boxes)
        """The number of the box in which each was first met, or -1."""

    def tell(self, value: Any, inside: int = -1, depth: int = 0) -> Wire:
        """The tagged tree of a value; raises Untellable."""
        kind: Any = type(value)
        if kind in _ATOMS:
            return value
        if kind is int:
            return value if -PLAIN_INT < value < PLAIN_INT else {"int": hex(value)}
        if depth > MAX_DEPTH:
            return self._otherwise(value, self, inside)
        if kind in _BOXES:
            return self._box(kind, value, inside, depth)
        write = _WRITE.get(kind)
        return self._seldom(kind, value, inside, depth) if write is None else write(self, value, inside, depth + 1)

    def _seldom(self, kind: Any, value: Any, inside: int, depth: int) -> Wire:
        if kind is type and TYPES.get(name := getattr(value, "__name__", "")) is value:
            return {"type": name}
        if _add_box_kind(kind):
            return self._box(kind, value, inside, depth)
        parts = library.parts_of(value, kind)
        if parts is None:
            return self._otherwise(value, self, inside)
        return {parts[0]: self.items(parts[1], inside, depth + 1)}

    def _box(self, kind: type, value: Any, inside: int, depth: int) -> Wire:
        number = self._numbers.get(id(value))
        if number is not None:
            self.uses[number] += 1
            if self.within[number] < 0:
                self.within[number] = inside
            return {"same": number}
        if id(value) in self._kept:
            return {"kept": self._kept[id(value)]}
        number = self.number(value, inside)
        content = _BOXES[kind](self, value, number, depth + 1)
        return content if kind is list else {kind.__name__: content}

    def number(self, box: Any, inside: int = -1) -> int:
        """A new number for a box that is met for the first time."""
        number = self._numbers[id(box)] = len(self.boxes)
        self.boxes.append(box)
        self.uses.append(1)
        self.within.append(inside)
        return number

    def forget(self, from_there: int) -> None:
        """The boxes numbered from there on, of what is not told after all."""
        for box in self.boxes[from_there:]:
            del self._numbers[id(box)]
        del self.boxes[from_there:], self.uses[from_there:], self.within[from_there:]

    def content(self, number: int, box: Any) -> Wire:
        """What is in a box of that number now, by its nearest kind of box, whatever was told of it before."""
        kind = type(box)
        if kind not in _BOXES:
            kind = next(kind for kind in kind.__mro__ if kind in _BOXES or _add_box_kind(kind))
        return _BOXES[kind](self, box, number, 1)

    def items(self, values: Iterable[Any], inside: int, depth: int) -> list[Wire]:
        """Each of them, in order."""
        tell = self.tell
        return [tell(value, inside, depth) for value in values]

    def list_items(self, values: list[Any], inside: int, depth: int) -> list[Wire]:
        """As `items`, quickly where there are many of one plain kind."""
        plain = list(list.__iter__(values))  # whatever a subclass makes of iteration
        return plain if _are_plain(plain) else self.items(plain, inside, depth)

    def pairs(self, items: Iterable[tuple[Any, Any]], inside: int, depth: int) -> list[Wire]:
        """Keys and values, in order."""
        tell = self.tell
        return [[tell(key, inside, depth), tell(item, inside, depth)] for key, item in items]

    def base_value(self, value: Any, inside: int) -> Wire:
        """An instance of a subclass of a built-in type at its base's worth; raises Untellable where it is none."""
        base = next((base for base in _BASES if isinstance(value, base)), None)
        if base is None or type(value) is base:  # the latter is nested too deep
            return no_value(value, self, inside)
        return self.tell(_PLAINLY[base](value) if base in _PLAINLY else base(value), inside, 1)


def is_plain(value: Any) -> bool:
    """Whether a value is its own tree: an atom, a small integer, a list of one kind of these."""
    kind = type(value)
    if kind is int:
        return bool(-PLAIN_INT < value < PLAIN_INT)
    return kind in _ATOMS or (kind is list and _are_plain(value))


def plain_boxes(values: Iterable[Any]) -> list[Any] | None:
    """The lists among them, where all are their own trees and no two are one; None where a `Teller` is needed."""
    if not all(map(is_plain, values)):
        return None
    boxes = [value for value in values if type(value) is list]
    return boxes if len(set(map(id, boxes))) == len(boxes) else None


def plain_contents(boxes: list[Any]) -> list[Wire] | None:
    """What `Teller.content` tells of each, where all are lists that are their own trees."""
    contents = [box[:] for box in boxes if type(box) is list and _are_plain(box)]
    return contents if len(contents) == len(boxes) else None


def _are_plain(values: list[Any]) -> bool:
    kinds = set(map(type, values))
    return kinds <= _ATOMS or (kinds == _INTS and max(values) < PLAIN_INT and min(values) > -PLAIN_INT)


_Write = Callable[[Teller, Any, int, int], Wire]


def _tagged(tag: str) -> _Write:
    return lambda teller, value, inside, depth: {tag: teller.items(value, inside, depth)}


def _steps(tag: str) -> _Write:
    return lambda teller, value, inside, depth: {
        tag: teller.items((value.start, value.stop, value.step), inside, depth)
    }


def _deque_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    return [value.maxlen, teller.items(deque.__iter__(value), inside, depth)]


def _default_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    return [teller.tell(value.default_factory, inside, depth), teller.pairs(dict.items(value), inside, depth)]


def _dict_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    return teller.pairs(dict.items(value), inside, depth)


def _ordered_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    return teller.pairs(OrderedDict.items(value), inside, depth)


def _array_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    return [value.typecode, teller.items(value, inside, depth)]


def _numpy_content(teller: Teller, value: Any, inside: int, depth: int) -> Wire:
    if value.dtype.str == library.OBJECTS:
        return [library.OBJECTS, list(value.shape), teller.items(value.flat, inside, depth)]
    if value.dtype.kind not in library.NUMPY_KINDS:
        raise Untellable(f"an array of type {value.dtype} has no form that crosses")
    return [value.dtype.str, list(value.shape), value.tobytes().hex()]


_BOXES: dict[type, _Write] = {
    list: Teller.list_items,
    set: lambda teller, value, inside, depth: teller.items(set.__iter__(value), inside, depth),
    bytearray: lambda _teller, value, _inside, _depth: bytearray.hex(value),
    deque: _deque_content,
    Counter: _dict_content,
    OrderedDict: _ordered_content,
    defaultdict: _default_content,
    dict: _dict_content,
}
_WRITE: dict[type, _Write] = {
    tuple: _tagged("tuple"),
    frozenset: _tagged("frozenset"),
    range: _steps("range"),
    slice: _steps("slice"),
    complex: lambda _teller, value, _inside, _depth: {"complex": [value.real, value.imag]},
    bytes: lambda _teller, value, _inside, _depth: {"bytes": value.hex()},
    memoryview: lambda _teller, value, _inside, _depth: {"memoryview": value.tobytes().hex()},
    type(...): lambda _teller, _value, _inside, _depth: {"ellipsis": 0},
    type(NotImplemented): lambda _teller, _value, _inside, _depth: {"not implemented": 0},
}
_BASES: tuple[type, ...] = (
    *(bool, int, float, str, complex, bytes, bytearray, list, set, deque, Counter, OrderedDict, defaultdict, dict),
    *(tuple, frozenset),
)
"""In the order in which a subclass looks for its base."""
_PLAINLY: dict[type, Callable[[Any], Any]] = {
    list: lambda value: list(list.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    deque: lambda value: deque(deque.__iter__(value), value.maxlen),
    dict: lambda value: dict(dict.items(value)),
    OrderedDict: lambda value: OrderedDict(OrderedDict.items(value)),
    Counter: lambda value: Counter(dict(dict.items(value))),
    defaultdict: lambda value: defaultdict(value.default_factory, dict.items(value)),
    str: str.__str__,
    float: float.__float__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
}
"""A subclass's value as its base has it, whatever the subclass makes of iteration and conversion."""


def _add_box_kind(kind: type) -> bool:
    """Whether the type is a box of a module that is not loaded from the start; known from then on."""
    if kind is library.loaded("array", "array"):
        _BOXES[kind] = _array_content
    elif kind is library.loaded("numpy", "ndarray"):
        _BOXES[kind] = _numpy_content
    return kind in _BOXES
