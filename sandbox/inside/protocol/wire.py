"""The bytes of a message, and what both the telling and the reading of one need to know."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable
from functools import partial
from operator import is_
from typing import Any, TypeVar

MAX_DEPTH = 5000
"""How deep values may be nested; what is deeper is left to the caller, as what is no value is."""
PLAIN_INT = 1 << 62
"""Integers below this travel as JSON numbers, larger ones in hexadecimal, which is linear to read and write."""
_JSON_LEVELS = 3 * MAX_DEPTH + 1000
"""Levels of JSON that so deep a value makes; they are read in C, whose stack would hold twice as many."""
_CALLS = 8 * MAX_DEPTH
"""Calls of ours within each other that telling or reading it takes."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_DECODER = json.JSONDecoder()

Wire = Any
"""A tree that ``json.dumps`` takes."""
Result = TypeVar("Result")

TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and kind.__name__ == name}
"""Types that are told by name: what is built in, and nothing that a program made."""


class Untellable(Exception):
    """The value has no form in tagged JSON."""


class WireError(Exception):
    """The bytes are not tagged JSON."""


def deeply(work: Callable[[], Result], calls: int = _CALLS) -> Result:
    """Do it again with room for deep values, where it ran out of recursion; few values need it, so it is not set."""
    try:
        return work()
    except RecursionError:
        pass  # and with it go the frames that hold what they were at
    return in_room(work, calls)


def in_room(work: Callable[[], Result], calls: int) -> Result:
    """Do it with room for so many calls more than there is now."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + calls)
    try:
        return work()
    finally:
        sys.setrecursionlimit(before)


def dumps(tree: Wire) -> bytes:
    """A tree as JSON bytes."""
    return deeply(partial(_ENCODER.encode, tree), _JSON_LEVELS).encode("ascii")


def alike(one: Wire, other: Wire) -> bool:
    """Whether two trees say the same, types and signs included."""
    kind = type(one)
    if one is other or kind is not type(other):
        return one is other
    if kind is float:
        return bool(one.hex() == other.hex())
    if kind is list:
        same = len(one) == len(other)
        return same and (all(map(is_, one, other)) or all(map(alike, one, other)))
    if kind is dict:
        return one.keys() == other.keys() and all(alike(one[tag], other[tag]) for tag in one)
    return bool(one == other)


def parse(payload: bytes) -> Any:
    """JSON bytes to a tree, with nothing of the tags read yet; raises WireError."""
    try:
        text = payload.decode("ascii")
        return deeply(partial(_DECODER.decode, text), _JSON_LEVELS)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from error
