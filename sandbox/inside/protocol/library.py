"""Values of the standard library, and numpy's, as their parts: told by value and made again on the other side.

Nothing here is imported before a value of it comes by: a candidate that uses no Decimal pays for none.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

Parts = list[Any]
Make = Callable[..., Any]

OBJECTS = "|O"
"""The type of numpy arrays of any objects."""
NUMPY_KINDS = "biufcmMSU"
"""Kinds of numpy arrays and scalars that are plain bytes."""


_SHARED = {
    "decimal": (
        *("DecimalException", "InvalidOperation", "DivisionByZero", "Overflow", "Underflow", "Inexact", "Rounded"),
        *("Clamped", "Subnormal", "FloatOperation"),
    ),
    "json.decoder": ("JSONDecodeError",),
    "_queue": ("Empty",),
    "queue": ("Empty", "Full"),
    "dataclasses": ("FrozenInstanceError",),
    "statistics": ("StatisticsError",),
    "graphlib": ("CycleError",),
    "copy": ("Error",),
    "re": ("error",),
    "struct": ("error",),
    "binascii": ("Error", "Incomplete"),
    "zlib": ("error",),
    "_csv": ("Error",),
    "configparser": ("Error", "NoSectionError", "NoOptionError", "DuplicateSectionError", "DuplicateOptionError"),
    "concurrent.futures._base": ("Error", "CancelledError", "InvalidStateError", "BrokenExecutor"),
    "asyncio.exceptions": ("CancelledError", "InvalidStateError", "IncompleteReadError", "LimitOverrunError"),
    "asyncio.queues": ("QueueEmpty", "QueueFull"),
    "threading": ("BrokenBarrierError",),
    "zoneinfo._common": ("ZoneInfoNotFoundError",),
    "ipaddress": ("AddressValueError", "NetmaskValueError"),
    "xml.etree.ElementTree": ("ParseError",),
    "http": ("HTTPStatus", "HTTPMethod"),
    "enum": ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "ReprEnum"),
}
"""Exceptions and enumerations of the standard library that are one class for both sides."""


def shared_class(module: str, name: str) -> Any:
    """Our own class of that name, where it is one of these and loaded here: nothing is imported for it."""
    return loaded(module, name) if name in _SHARED.get(module, ()) else None


def loaded(module: str, name: str) -> Any:
    """What is called so in a module that is loaded already, or None."""
    return getattr(sys.modules.get(module), name, None)


def _zone(zone: Any) -> Any:
    """A time zone as what makes it again: nothing, an offset, or a name."""
    if zone is None or type(zone) is loaded("datetime", "timezone"):
        return zone if zone is None else zone.utcoffset(None)
    return zone.key


def _date(value: Any) -> Parts:
    return [value.year, value.month, value.day]


def _time(value: Any) -> Parts:
    return [value.hour, value.minute, value.second, value.microsecond, _zone(value.tzinfo), value.fold]


_PARTS: dict[tuple[str, str], Callable[[Any], Parts]] = {
    ("decimal", "Decimal"): lambda value: [str(value)],
    ("fractions", "Fraction"): lambda value: [value.numerator, value.denominator],
    ("datetime", "date"): _date,
    ("datetime", "time"): _time,
    ("datetime", "datetime"): lambda value: _date(value) + _time(value),
    ("datetime", "timedelta"): lambda value: [value.days, value.seconds, value.microseconds],
    ("datetime", "timezone"): lambda value: [value.utcoffset(None)],
    ("zoneinfo", "ZoneInfo"): lambda value: [value.key],
    ("uuid", "UUID"): lambda value: [value.int],
    ("pathlib", "PosixPath"): lambda value: [str(value)],
    ("pathlib", "PurePosixPath"): lambda value: [str(value)],
    ("pathlib", "PureWindowsPath"): lambda value: [str(value)],
    ("ipaddress", "IPv4Address"): lambda value: [str(value)],
    ("ipaddress", "IPv6Address"): lambda value: [str(value)],
    ("ipaddress", "IPv4Network"): lambda value: [str(value)],
    ("ipaddress", "IPv6Network"): lambda value: [str(value)],
    ("time", "struct_time"): lambda value: [tuple(value)],
}
"""What is told of each type, as what its maker takes."""


def _read_zone(zone: Any) -> Any:
    if zone is None:
        return None
    if isinstance(zone, str):
        return importlib.import_module("zoneinfo").ZoneInfo(zone)
    return importlib.import_module("datetime").timezone(zone)


def _make_time(*parts: Any) -> Any:
    *clock, zone, fold = parts
    return importlib.import_module("datetime").time(*clock, tzinfo=_read_zone(zone), fold=fold)


def _make_datetime(*parts: Any) -> Any:
    *clock, zone, fold = parts
    return importlib.import_module("datetime").datetime(*clock, tzinfo=_read_zone(zone), fold=fold)


_SPECIAL: dict[tuple[str, str], Make] = {
    ("datetime", "time"): _make_time,
    ("datetime", "datetime"): _make_datetime,
    ("uuid", "UUID"): lambda number: importlib.import_module("uuid").UUID(int=number),
}
"""Those that are not made by calling their type with the parts in order."""


def parts_of(value: Any, kind: type) -> tuple[str, Parts] | None:
    """The tag of a library value and what it is made of; None for anything else."""
    where = (kind.__module__, kind.__qualname__)
    split = _PARTS.get(where)
    if split is not None and loaded(*where) is kind:
        return f"{where[0]}.{where[1]}", split(value)
    if where[0] == "numpy" and _is_numpy_scalar(value):
        return "numpy", [value.dtype.str, value.tobytes()]
    return None


def is_tag(tag: str) -> bool:
    """Whether a tag is that of a library value."""
    return tag == "numpy" or tuple(tag.split(".", 1)) in _PARTS


def make(tag: str, parts: Parts) -> Any:
    """The value again; raises whatever its maker does."""
    if not all(_is_plain(part) for part in parts):
        raise ValueError("a value of the library is made of plain ones")
    if tag == "numpy":
        dtype, content = parts
        return _numpy_scalar(dtype, content)
    module, name = tag.split(".", 1)
    maker = _SPECIAL.get((module, name)) or getattr(importlib.import_module(module), name)
    return maker(*parts)


def _is_plain(part: Any) -> bool:
    if type(part) is tuple:
        return all(type(each) is int for each in part)
    return part is None or type(part) in (int, str, bytes) or type(part) is loaded("datetime", "timedelta")


def _is_numpy_scalar(value: Any) -> bool:
    generic = loaded("numpy", "generic")
    return generic is not None and isinstance(value, generic) and value.dtype.kind in NUMPY_KINDS


def _numpy_scalar(dtype: str, content: bytes) -> Any:
    numpy = importlib.import_module("numpy")
    return numpy.frombuffer(content, _dtype(dtype))[0]


def _dtype(name: str) -> Any:
    dtype = importlib.import_module("numpy").dtype(name)
    if dtype.kind not in NUMPY_KINDS:
        raise ValueError("an array of objects is no value")
    return dtype


def put_objects(array: Any, items: list[Any]) -> None:
    """Into an array of objects, each at its place, lists as they are."""
    for place, item in zip(importlib.import_module("numpy").ndindex(array.shape), items, strict=True):
        array[place] = item


def array_of(dtype: str, shape: list[int], content: Any) -> Any:
    """A numpy array from its type, its shape and its bytes; of objects an empty one, for them to be put there."""
    if not all(type(length) is int for length in shape):
        raise ValueError("an array's lengths are integers")
    numpy = importlib.import_module("numpy")
    if dtype == OBJECTS:
        return numpy.array([None] * len(content), dtype=object).reshape(shape)
    return numpy.frombuffer(bytes.fromhex(content), _dtype(dtype)).reshape(shape).copy()
