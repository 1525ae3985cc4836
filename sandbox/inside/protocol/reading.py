"""Trees to values, of exact types of ours, whatever arrives."""

from __future__ import annotations

import importlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from . import library
from .wire import TYPES, Wire, WireError

_NESTED = {list, dict}
Otherwise = Callable[["Reader", str, Wire], Any]
"""What to make of a tag that stands for no value, given what is tagged."""


def no_value(_reader: Reader, tag: str, _inside: Wire) -> Any:
    """Where there are no handles every other tag is an error."""
    raise WireError(f"unknown tag {tag[:40]!r}")


class Reader:
    """Reads the values of one message; raises WireError, or what a hostile tree makes of a built-in type, which
    `read_safely` turns into one."""

    def __init__(self, otherwise: Otherwise = no_value, boxes: list[Any] | None = None) -> None:
        self._otherwise = otherwise
        self.boxes = [] if boxes is None else boxes
        """By number, those of earlier messages of the exchange first."""

    def read(self, tree: Wire) -> Any:
        """The value of a tree."""
        kind = type(tree)
        if kind is list:
            box: list[Any] = []
            self.boxes.append(box)
            box += self.items(tree)
            return box
        return self._read_tagged(tree) if kind is dict else tree

    def items(self, trees: Wire) -> list[Any]:
        """Each of them, in order."""
        if type(trees) is not list:
            raise WireError("a list is wanted")
        if _NESTED.isdisjoint(map(type, trees)):
            return trees
        read = self.read
        return [read(tree) for tree in trees]

    def pairs(self, trees: Wire) -> list[Any]:
        """Keys and values, in order."""
        return [(self.read(key), self.read(item)) for key, item in trees]

    def _read_tagged(self, tree: dict[str, Wire]) -> Any:
        if len(tree) != 1:
            raise WireError("a tagged value has exactly one key")
        ((tag, inside),) = tree.items()
        if tag in _BOXES:
            start, fill = _BOXES[tag]
            box = start(inside)
            self.boxes.append(box)
            fill(self, box, inside)
            return box
        make = _READ.get(tag)
        if make is not None:
            return make(self, inside)
        if library.is_tag(tag):
            return library.make(tag, self.items(inside))
        return self._otherwise(self, tag, inside)

    def same(self, number: Wire) -> Any:
        """A box that was met before."""
        if type(number) is not int or not 0 <= number < len(self.boxes):
            raise WireError("no such box")
        return self.boxes[number]

    def refill(self, box: Any, content: Wire) -> None:
        """Put into a box what is in it on the other side now."""
        kind = next((kind for kind in type(box).__mro__ if kind in _EMPTY), None)
        if kind is not None:
            _EMPTY[kind](box)
            _BOXES[kind.__name__][1](self, box, content)
        elif type(box).__module__ == "array":
            del box[:]
            _fill_array(self, box, content)
        else:
            _refill_numpy(self, box, content)


def read_safely(work: Callable[[], Any]) -> Any:
    """Whatever a malformed tree made of a built-in type is a WireError."""
    try:
        return work()
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, ImportError, RecursionError) as error:
        raise WireError(f"malformed value: {type(error).__name__}") from error


def _integers(values: list[Any]) -> list[int]:
    if any(type(value) is not int for value in values):
        raise WireError("integers are wanted")
    return values


def _number(value: Any) -> float:
    if type(value) is not float:
        raise WireError("a float is wanted")
    return value


def _fill_dict(reader: Reader, box: Any, inside: Wire) -> None:
    for key, item in inside:
        dict.__setitem__(box, reader.read(key), reader.read(item))


def _fill_ordered(reader: Reader, box: Any, inside: Wire) -> None:
    for key, item in inside:
        OrderedDict.__setitem__(box, reader.read(key), reader.read(item))


def _fill_default(reader: Reader, box: Any, inside: Wire) -> None:
    factory, pairs = inside
    box.default_factory = reader.read(factory)
    _fill_dict(reader, box, pairs)


def _fill_set(reader: Reader, box: Any, inside: Wire) -> None:
    set.update(box, reader.items(inside))


def _fill_deque(reader: Reader, box: Any, inside: Wire) -> None:
    deque.extend(box, reader.items(inside[1]))


def _fill_bytes(_reader: Reader, box: bytearray, inside: Wire) -> None:
    box += bytes.fromhex(inside)


def _fill_array(reader: Reader, box: Any, inside: Wire) -> None:
    box.extend(reader.items(inside[1]))


def _fill_numpy(reader: Reader, box: Any, inside: Wire) -> None:
    if inside[0] == library.OBJECTS:
        library.put_objects(box, reader.items(inside[2]))


def _refill_numpy(reader: Reader, box: Any, content: Wire) -> None:
    """A numpy array in place, where it still has its shape and type."""
    now = library.array_of(*content)
    _fill_numpy(reader, now, content)
    if box.shape != now.shape or box.dtype != now.dtype:
        raise WireError("an array cannot change its shape in place")
    box[...] = now


def _empty_array(inside: Wire) -> Any:
    return importlib.import_module("array").array(inside[0])


_BOXES: dict[str, tuple[Callable[[Wire], Any], Callable[[Reader, Any, Wire], None]]] = {
    "list": (lambda _: [], lambda reader, box, inside: list.extend(box, reader.items(inside))),
    "set": (lambda _: set(), _fill_set),
    "bytearray": (lambda _: bytearray(), _fill_bytes),
    "deque": (lambda inside: deque(maxlen=inside[0]), _fill_deque),
    "Counter": (lambda _: Counter(), _fill_dict),
    "OrderedDict": (lambda _: OrderedDict(), _fill_ordered),
    "defaultdict": (lambda _: defaultdict(), _fill_default),
    "dict": (lambda _: {}, _fill_dict),
    "array": (_empty_array, _fill_array),
    "ndarray": (lambda inside: library.array_of(*inside), _fill_numpy),
}
_EMPTY: dict[type, Callable[[Any], None]] = {
    list: list.clear,
    set: set.clear,
    bytearray: bytearray.clear,
    deque: deque.clear,
    Counter: dict.clear,
    OrderedDict: OrderedDict.clear,
    defaultdict: dict.clear,
    dict: dict.clear,
}
_READ: dict[str, Callable[[Reader, Wire], Any]] = {
    "same": Reader.same,
    "int": lambda _reader, text: int(text, 16),
    "tuple": lambda reader, parts: tuple(reader.items(parts)),
    "frozenset": lambda reader, parts: frozenset(reader.items(parts)),
    "range": lambda reader, parts: range(*_integers(reader.items(parts))),
    "slice": lambda reader, parts: slice(*reader.items(parts)),
    "complex": lambda _reader, parts: complex(*map(_number, parts)),
    "bytes": lambda _reader, text: bytes.fromhex(text),
    "memoryview": lambda _reader, text: memoryview(bytes.fromhex(text)),
    "ellipsis": lambda _reader, _inside: ...,
    "not implemented": lambda _reader, _inside: NotImplemented,
    "type": lambda _reader, name: TYPES[name],
}
