"""Large answers by their digest, where they are only to be compared with a value that the judge has.

An answer of a hundred million items is made in a second; to tell and to read it takes a minute. Whoever knows its
digest has it. A candidate that says another one is asked for the answer itself, as it is for every smaller one.
"""

from __future__ import annotations

import marshal
from functools import partial
from typing import Any

from .wire import deeply

LARGE = 1 << 16
"""An answer with more items than this, on its first two levels, is sealed first."""
_AT_ONCE = 1000
"""Items of which the bytes are in memory together."""
_VERSION = 2
"""Of marshal's format: the last in which bytes follow from the value alone, not from what in it is one object."""
_NESTED = frozenset((list, tuple))
_ATOMS = frozenset((int, str, bool, type(None)))
"""What a digest stands for. No floats, which need a tolerance, and of which nan equals nothing; no bytes, which have
those of any buffer."""


SEALED = object()
"""Stands for a large answer that has not crossed."""


def is_large(value: Any) -> bool:
    """Whether it is a list or tuple, and large."""
    if type(value) not in _NESTED:
        return False
    return len(value) > LARGE or sum(len(item) for item in value if type(item) in _NESTED) > LARGE


def digest_of(value: Any) -> str | None:
    """SHA-256 of a list or tuple, the same for equal values of equal types; None where it has no such."""
    if type(value) not in _NESTED:
        return None
    import hashlib  # noqa: PLC0415  # seldom needed, and dear to carry along

    digest = hashlib.sha256(type(value).__name__.encode("ascii"))
    try:
        for begin in range(0, len(value), _AT_ONCE):
            digest.update(marshal.dumps(list(value[begin : begin + _AT_ONCE]), _VERSION))
    except ValueError:  # an object of a class of its own, or nested too deep
        return None
    return digest.hexdigest()


def digest_to_meet(value: Any) -> str | None:
    """The digest by which an answer is known for a value; None where it must be seen whole."""
    digest = digest_of(value)
    return digest if digest is not None and deeply(partial(_is_of_atoms, value)) else None


def _is_of_atoms(value: Any) -> bool:
    """Whether a list or tuple holds, at any depth, nothing but what a digest stands for."""
    kinds = set(map(type, value))
    if kinds <= _ATOMS:
        return True
    return kinds <= _ATOMS | _NESTED and all(_is_of_atoms(item) for item in value if type(item) in _NESTED)
