"""Python values as tagged JSON: what crosses between judge and candidate instead of pickle.

``None``, booleans, strings, floats (``json`` writes nan and infinities as words and reprs that round-trip), small
integers and lists are themselves; every other kind is an object with one key, its tag. What arrives is always of an
exact built-in type, so no ``__eq__`` or ``__hash__`` of the sender's crosses. Whatever cannot be told becomes an
`Opaque`, which equals nothing.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NoReturn

MAX_DEPTH = 200
"""How deep containers may be nested before a value counts as one that cannot be told."""
PLAIN_INT = 1 << 62
"""Integers below this travel as JSON numbers, larger ones in hexadecimal, which is linear to read and write."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()

Wire = Any
"""A tree that ``json.dumps`` takes."""


class Untellable(Exception):
    """The value has no form in tagged JSON."""


class WireError(Exception):
    """The bytes are not tagged JSON."""


class Opaque:
    """Stands for an object that could not be told: it equals nothing, itself included, and has no truth value.

    The side that made it keeps the object under ``handle``, so that it may be passed back to it.
    """

    def __init__(self, kind: str, handle: int = -1) -> None:
        self.kind = kind
        self.handle = handle

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no truth value")

    def __repr__(self) -> str:
        return f"<an object of type {self.kind}>"


class Named:
    """Stands for a global of the candidate's program, passed back to it by name."""

    def __init__(self, name: str) -> None:
        self.name = name


def _items(values: Any, depth: int) -> list[Wire]:
    return [_tell(value, depth) for value in values]


def _pairs(mapping: Any, depth: int) -> list[Wire]:
    return [[_tell(key, depth), _tell(value, depth)] for key, value in mapping.items()]


def _tell_int(value: int, _depth: int) -> Wire:
    return int(value) if -PLAIN_INT < value < PLAIN_INT else {"int": hex(value)}


_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)}
"""Types that a test may pass to a function or expect of it."""


def _name_of_type(kind: type) -> str:
    if _TYPES.get(kind.__name__) is not kind:
        raise Untellable("type")
    return kind.__name__


_TELL: dict[type, Callable[[Any, int], Wire]] = {
    bool: lambda value, _: bool(value),
    int: _tell_int,
    float: lambda value, _: float(value),
    str: lambda value, _: str(value),
    complex: lambda value, _: {"complex": [value.real, value.imag]},
    bytes: lambda value, _: {"bytes": value.hex()},
    bytearray: lambda value, _: {"bytearray": value.hex()},
    range: lambda value, depth: {"range": _items((value.start, value.stop, value.step), depth)},
    slice: lambda value, depth: {"slice": _items((value.start, value.stop, value.step), depth)},
    list: _items,
    tuple: lambda value, depth: {"tuple": _items(value, depth)},
    set: lambda value, depth: {"set": _items(value, depth)},
    frozenset: lambda value, depth: {"frozenset": _items(value, depth)},
    deque: lambda value, depth: {"deque": _items(value, depth)},
    Counter: lambda value, depth: {"Counter": _pairs(value, depth)},
    OrderedDict: lambda value, depth: {"OrderedDict": _pairs(value, depth)},
    dict: lambda value, depth: {"dict": _pairs(value, depth)},
    type: lambda value, _: {"type": _name_of_type(value)},
    Opaque: lambda value, _: {"opaque": [value.kind, value.handle]},
    Named: lambda value, _: {"named": value.name},
}
"""In the order in which a subclass looks for its base: a defaultdict is told as a dict, a namedtuple as a tuple."""


def _tell(value: Any, depth: int) -> Wire:
    if value is None:
        return None
    if depth > MAX_DEPTH:
        raise Untellable("nested too deep")
    tell = _TELL.get(type(value))
    if tell is None:
        tell = next((_TELL[base] for base in _TELL if isinstance(value, base)), None)
    if tell is None:
        raise Untellable(type(value).__name__)
    return tell(value, depth + 1)


def dumps(tree: Wire) -> bytes:
    """A tree as JSON bytes."""
    return _ENCODER.encode(tree).encode("ascii")


def to_wire(value: Any) -> Wire:
    """The tagged tree of a value; raises Untellable."""
    return _tell(value, 0)


def _fill_counter(pairs: Any) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    counter.update(dict(pairs))
    return counter


_READ: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "complex": lambda parts: complex(*parts),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda parts: range(*parts),
    "slice": lambda parts: slice(*parts),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "Counter": _fill_counter,
    "OrderedDict": OrderedDict,
    "dict": dict,
    "type": _TYPES.__getitem__,
    "opaque": lambda parts: Opaque(str(parts[0]), int(parts[1])),
    "named": Named,
}

Resolve = Callable[[Any], Any]
"""What to put in place of an `Opaque` or a `Named` that comes back to the side that knows what it stands for."""


def _read(tree: Wire, depth: int, resolve: Resolve) -> Any:
    if depth > MAX_DEPTH * 2:  # a container and its tag are a level each
        raise WireError("nested too deep")
    if isinstance(tree, list):
        return [_read(item, depth + 1, resolve) for item in tree]
    if isinstance(tree, dict):
        return _read_tagged(tree, depth, resolve)
    return tree


def _read_tagged(tree: dict[str, Wire], depth: int, resolve: Resolve) -> Any:
    if len(tree) != 1:
        raise WireError("a tagged value has exactly one key")
    ((tag, inside),) = tree.items()
    read = _READ.get(tag)
    if read is None:
        raise WireError("unknown tag")
    value = read(_read(inside, depth + 1, resolve))
    return resolve(value) if isinstance(value, Opaque | Named) else value


def _as_it_is(value: Any) -> Any:
    return value


def from_wire(tree: Wire, resolve: Resolve = _as_it_is) -> Any:
    """The value of a tagged tree, in exact built-in types; raises WireError for anything malformed."""
    try:
        return _read(tree, 0, resolve)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        raise WireError(f"malformed value: {type(error).__name__}") from error


def parse(payload: bytes) -> Any:
    """JSON bytes to a tree, with nothing of the tags read yet; raises WireError."""
    try:
        return _DECODER.decode(payload.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from error
