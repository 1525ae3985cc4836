"""The objects of this side that the other holds handles on, and what it is told of them and their classes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .operators import CROSSING
from .telling import Teller
from .wire import TYPES, Wire

_VALUE_BASES = (int, float, complex, str, bytes, tuple, frozenset)
_BOX_BASES = ("list", "dict", "set", "bytearray", "deque", "OrderedDict", "Counter", "defaultdict")
OVERRIDABLE = ("__getitem__", "__setitem__", "__delitem__", "__len__", "__iter__", "__contains__", "__missing__")
"""Operators of a container's class that are asked for where it has its own; what equals it is not for it to say."""
_MODULES_OF_BOXES = ("builtins", "collections")
_MOST_TEXT = 1 << 16
_MOST_CAUSES = 10
FUNCTION = type(lambda: None)
"""The one class that both sides know from the start, by the number 0: almost all that is asked is a function's."""


class Own:
    """Objects by number; the same object has one number for good, and is kept alive for it."""

    def __init__(self, keep_exceptions: bool = False) -> None:
        self._keep_exceptions = keep_exceptions
        """Whether exceptions of built-in classes have numbers too, so that they come back as themselves."""
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._described: dict[int, None] = {}
        self._being_told: list[BaseException] = []
        self._described[self.number(FUNCTION)] = None

    def __getitem__(self, number: Any) -> Any:
        if type(number) is not int or number < 0:
            raise LookupError("no object has such a number")
        return self._objects[number]

    def number(self, thing: Any) -> int:
        """Its number, a new one where it had none."""
        number = self._numbers.get(id(thing))
        if number is None:
            number = self._numbers[id(thing)] = len(self._objects)
            self._objects.append(thing)
        return number

    def tell(self, thing: Any, teller: Teller, inside: int) -> Wire:
        """What crosses of a thing that is no value of a built-in type; raises Untellable."""
        kind = type(thing)
        if isinstance(thing, type):
            return {"class": self._class(thing, teller)}
        if isinstance(thing, BaseException):
            return (
                None
                if any(thing is error for error in self._being_told)
                else {"exception": self._exception(thing, teller)}
            )
        if kind is type(sys):
            return {"module": [thing.__name__, self.number(thing), self._class(kind, teller, of_instance=True)]}
        if _is_enum(kind):
            return {"member": self._member(thing, kind, teller)}
        if isinstance(thing, tuple) and _fields_of(kind):
            return {"namedtuple": [self._class(kind, teller), teller.items(tuple.__iter__(thing), inside, 1)]}
        return self._by_reference(thing, kind, teller, inside)

    def _member(self, member: Any, kind: Any, teller: Teller) -> Wire:
        """By its name; a combination of flags, which has none, by its value."""
        name = member._name_ if member._name_ in kind.__members__ else None
        return [self._class(kind, teller), self.number(member), name, teller.tell(member._value_)]

    def _by_reference(self, thing: Any, kind: type, teller: Teller, inside: int) -> Wire:
        told = [self.number(thing), self._class(kind, teller, of_instance=True)]
        if _box_base(kind) is not None:
            number = teller.number(thing, inside)
            return {"box": [*told, teller.content(number, thing)]}
        if any(isinstance(thing, base) and kind is not base for base in _VALUE_BASES):
            return {"subclass": [*told, teller.base_value(thing, inside)]}
        return {"object": told}

    def _class(self, kind: type, teller: Teller, of_instance: bool = False) -> Wire:
        """A class by its name, where it is built in, else by its number, with what it is like the first time.

        A class ``of_instance`` is wanted for a handle, and so always one of its own.
        """
        if not of_instance and TYPES.get(kind.__name__) is kind:
            return kind.__name__
        number = self.number(kind)
        if teller.briefly or number in self._described:
            return number
        self._described[number] = None
        return [number, self.describe(kind, teller)]

    def described(self) -> int:
        """How many classes the other side has been told of."""
        return len(self._described)

    def forget_described(self, from_there: int) -> None:
        """Of classes told of in a message that was never sent."""
        while len(self._described) > from_there:
            self._described.popitem()

    def describe(self, kind: Any, teller: Teller) -> Wire:
        """What a class is like: what the other side makes a stand-in class from."""
        bases = [self._class(base, teller) for base in kind.__bases__ if base is not object]
        described: dict[str, Any] = {
            "name": str(kind.__name__),
            "module": str(kind.__module__),
            "bases": bases,
            "operators": [name for name in CROSSING if _defines(kind, name)],
        }
        if getattr(kind, "__hash__", None) is None:
            described["unhashable"] = True
        if _is_enum(kind):
            described["members"] = [[name, teller.tell(member._value_)] for name, member in kind.__members__.items()]
        elif issubclass(kind, tuple) and _fields_of(kind):
            described["fields"] = _fields_of(kind)
        elif "__dataclass_fields__" in vars(kind):
            described["dataclass"] = _fields_of_dataclass(kind)
        elif (base := _box_base(kind)) is not None:
            described["box"] = base.__name__
            names = [name for name in dir(base) if not name.startswith("__")]
            described["own"] = [name for name in (*names, *OVERRIDABLE) if _overrides(kind, base, name)]
        return described

    def _exception(self, error: BaseException, teller: Teller) -> Wire:
        """Its class, number, arguments, text and what else it holds; and the one it was raised from."""
        self._being_told.append(error)
        try:
            return self._parts_of_exception(error, teller)
        finally:
            self._being_told.pop()

    def _parts_of_exception(self, error: BaseException, teller: Teller) -> Wire:
        """Its class, number, arguments, text and what else it holds; and the one it was raised from."""
        attributes = vars(error) | {name: getattr(error, name) for name in ("name", "path") if hasattr(error, name)}
        cause = error.__cause__ if len(self._being_told) < _MOST_CAUSES else None
        built_in = _is_built_in(type(error))
        return [
            self._class(type(error), teller),
            None if built_in and not self._keep_exceptions else self.number(error),
            self._or_else(teller, lambda: [teller.tell(argument) for argument in _arguments(error)], []),
            self._or_else(teller, lambda: str(error)[:_MOST_TEXT], ""),
            self._or_else(teller, lambda: teller.pairs(attributes.items(), -1, 1), []),
            None if cause is None or cause is error else teller.tell(cause),
        ]

    def _or_else(self, teller: Teller, work: Callable[[], Wire], otherwise: Wire) -> Wire:
        """What a hostile exception makes of being told changes nothing but its own message."""
        classes, boxes = self.described(), len(teller.boxes)
        try:
            return work()
        except BaseException:
            self.forget_described(classes)
            teller.forget(boxes)
            return otherwise


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """What its class is called with; some keep a part of that apart from ``args``."""
    if isinstance(error, BaseExceptionGroup):
        return (error.message, list(error.exceptions))
    if isinstance(error, OSError) and error.filename is not None:
        return (error.errno, error.strerror, error.filename)
    return error.args


def _is_built_in(kind: type) -> bool:
    return TYPES.get(kind.__name__) is kind


def _is_enum(kind: type) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(kind, enum.EnumType)


def _fields_of(kind: type) -> list[str]:
    fields = getattr(kind, "_fields", None)
    return list(fields) if type(fields) is tuple and all(type(field) is str for field in fields) else []


def _box_base(kind: type) -> type | None:
    """The kind of box that a class is a subclass of."""
    for base in kind.__mro__[1:]:
        if base.__name__ in _BOX_BASES and base.__module__ in _MODULES_OF_BOXES:
            return base
    return None


def _defined(kind: type, name: str) -> Any:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _defines(kind: type, name: str) -> bool:
    """Whether instances have the operator by their class, beyond what every object or enumeration has."""
    for base in kind.__mro__:
        if name in vars(base):
            return base is not object and base.__module__ != "enum" and not (_is_enum(kind) and _is_built_in(base))
    return False


def _overrides(kind: type, base: type, name: str) -> bool:
    return _defined(kind, name) is not _defined(base, name)


def _fields_of_dataclass(kind: Any) -> Wire:
    """Its fields, and those that its equality compares, or None where that is its own."""
    fields = sys.modules["dataclasses"].fields(kind)
    compared = [field.name for field in fields if field.compare] if _compares_fields(kind) else None
    return [[field.name for field in fields], compared]


def _compares_fields(kind: type) -> bool:
    """Whether its equality is the one that ``dataclass`` writes."""
    equal = vars(kind).get("__eq__")
    code = getattr(equal, "__code__", None)
    return code is not None and code.co_filename == "<string>"
