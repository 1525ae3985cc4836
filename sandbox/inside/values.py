"""Values by themselves, with no objects among them: what supervisor and judge tell each other of a test."""

from __future__ import annotations

from typing import Any

from .protocol.reading import Reader, read_safely
from .protocol.telling import Teller
from .protocol.wire import MAX_DEPTH, Untellable, Wire, WireError, deeply, dumps, parse

__all__ = ["MAX_DEPTH", "Untellable", "Wire", "WireError", "dumps", "from_wire", "parse", "to_wire"]


def to_wire(value: Any) -> Wire:
    """The tagged tree of a value, instances of subclasses as their built-in bases; raises Untellable."""
    return deeply(lambda: Teller(_as_base).tell(value))


def from_wire(tree: Wire) -> Any:
    """The value of a tagged tree; raises WireError for anything malformed."""
    return read_safely(lambda: deeply(lambda: Reader().read(tree)))


def _as_base(value: Any, teller: Teller, inside: int) -> Wire:
    return teller.base_value(value, inside)
