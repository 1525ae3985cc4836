"""Stand-ins for the objects of the other side, of stand-in classes that have its operators, each sent over when used.

A class that can be an exception's, an enumeration, a named tuple or a container becomes a real one here, so that
``except``, ``is``, ``isinstance`` and equality are decided here; of any other object nothing is here but its number.
"""

from __future__ import annotations

import builtins
import enum
import importlib
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

from .mirror_types import MirrorEnum, MirrorType
from .operators import CROSSING, Ask
from .own import FUNCTION, Own
from .reading import Reader
from .telling import Teller
from .wire import TYPES, Wire, WireError

_BOXES = {kind.__name__: kind for kind in (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)}
_SEEN_AS: dict[str, Any] = {
    "function": FunctionType,
    "method": MethodType,
    "generator": GeneratorType,
    "coroutine": CoroutineType,
    "async_generator": AsyncGeneratorType,
    "builtin_function_or_method": type(len),
    **{kind.__name__: kind for kind in (map, zip, filter, enumerate, reversed, property, memoryview)},
    "dict_keys": type({}.keys()),
    "dict_values": type({}.values()),
    "dict_items": type({}.items()),
}
"""What ``isinstance`` takes objects of these classes for; none of them is a value's, so it decides no equality."""


class Mirrors:
    """Makes stand-ins and knows which number each has."""

    def __init__(self, ask: Ask, operator: Callable[[str], Callable[..., Any]]) -> None:
        self._ask = ask
        self._operator = operator
        """Makes the function that stand-in classes have for an operator that crosses."""
        self._things: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}

    def number_of(self, thing: Any) -> int | None:
        """The number of what a stand-in stands for; None for anything else."""
        return self._numbers.get(id(thing))

    def without_number(self, thing: Any, teller: Teller) -> Wire | None:
        """What crosses of an instance that was made here of a class of the other side; None for anything else."""
        kind = type(thing)
        number = self._numbers.get(id(kind))
        if number is None or isinstance(thing, type):
            return None
        if isinstance(kind, MirrorEnum) and isinstance(thing, enum.Enum):
            return {"your member": [number, teller.tell(thing._value_)]}
        if isinstance(thing, tuple):
            return {"your tuple": [number, teller.items(tuple.__iter__(thing), -1, 1)]}
        return teller.base_value(thing, -1)

    def of_function(self, number: int) -> Any:
        """A stand-in for a function of the other side."""
        return self._things.get(number) or self._keep(number, object.__new__(self._class(Reader(), 0)))

    def _keep(self, number: Any, thing: Any) -> Any:
        if type(number) is not int:
            raise WireError("a number is wanted")
        self._things[number] = thing
        self._numbers[id(thing)] = number
        return thing

    def read(self, reader: Reader, tag: str, inside: Wire) -> Any:
        """What a tag of `Own.tell` stands for; raises WireError for any other."""
        read = _READ.get(tag)
        if read is None:
            raise WireError(f"unknown tag {tag[:40]!r}")
        return read(self, reader, inside)

    def _object(self, reader: Reader, told: Wire) -> Any:
        number, kind = told
        return self._things.get(number) or self._keep(number, object.__new__(self._class(reader, kind)))

    def _tuple(self, reader: Reader, told: Wire) -> Any:
        kind, items = told
        return tuple.__new__(self._class(reader, kind), reader.items(items))

    def _class(self, reader: Reader, told: Wire) -> Any:
        if type(told) is str:
            return TYPES[told]
        if type(told) is int:
            kind = self._things[told] if told or 0 in self._things else self._keep(0, self._function_class())
        else:
            number, description = told
            kind = self._things.get(number) or self._keep(number, self._make_class(description, reader))
        if not isinstance(kind, type):
            raise WireError("a class is wanted")
        return kind

    def _function_class(self) -> Any:
        return self._make_class(_A_FUNCTION, Reader())

    def _make_class(self, told: dict[str, Wire], reader: Reader) -> Any:
        bases = tuple(self._class(reader, base) for base in told["bases"])
        contents: dict[str, Any] = {name: self._operator(name) for name in told["operators"] if name in CROSSING}
        contents |= {"__module__": told["module"], "_ask": self._ask}
        if "unhashable" in told:
            contents |= {"__hash__": None}
        if "members" in told:
            return self._make_enum(told, reader, bases, contents)
        name, base, contents = self._of_kind(told, bases, contents)
        mirrored = tuple(kind for kind in bases if isinstance(kind, MirrorType) and issubclass(kind, base))
        plain = tuple(kind for kind in bases if base is not object and issubclass(kind, base))
        return MirrorType(name, (plain if issubclass(base, BaseException) else mirrored) or (base,), contents)

    def _of_kind(
        self, told: dict[str, Wire], bases: tuple[Any, ...], contents: dict[str, Any]
    ) -> tuple[str, Any, dict[str, Any]]:
        """Name, base and contents of a class, by what its instances are here."""
        name = told["name"]
        if any(issubclass(base, BaseException) for base in bases):
            return name, BaseException, self._of_exception(contents)
        if "fields" in told:
            mirrored = any(isinstance(base, MirrorType) and issubclass(base, tuple) for base in bases)
            base = tuple if mirrored else namedtuple(name, told["fields"])
            return name, base, self._of_value(contents, ())
        if "box" in told:
            return name, _BOXES[told["box"]], self._of_value(contents, told["own"])
        value = next((kind for kind in _VALUES if any(issubclass(base, kind) for base in bases)), None)
        if value is not None:
            return name, value, self._of_value(contents, ())
        if "dataclass" in told:
            contents |= self._of_dataclass(*told["dataclass"])
        return name, object, contents | self._of_object(name)

    def _of_object(self, name: str) -> dict[str, Any]:
        """What every stand-in has: attributes that are asked for, and a copy that is a copy over there."""
        ask, seen_as = self._ask, _SEEN_AS.get(name)

        def look_up(mirror: Any, attribute: str) -> Any:
            if attribute == "__class__":
                return seen_as or type(mirror)
            if attribute == "__dataclass_fields__" and hasattr(type(mirror), attribute):
                return getattr(type(mirror), attribute)
            if attribute == "__deepcopy__":
                return lambda _: ask(mirror, "__deepcopy__")
            if attribute == "send" and seen_as is CoroutineType:
                return lambda _: _stop_with(ask(mirror, "__await__"))
            return ask(mirror, "__getattribute__", (attribute,))

        return {
            "__getattribute__": look_up,
            "__setattr__": lambda mirror, attribute, value: ask(mirror, "__setattr__", (attribute, value)),
            "__delattr__": lambda mirror, attribute: ask(mirror, "__delattr__", (attribute,)),
            "__dir__": lambda mirror: ask(mirror, "__getattribute__", ("__dir__",))(),
            "__copy__": lambda mirror: ask(mirror, "__copy__"),
        }

    def _of_value(self, contents: dict[str, Any], own: Any) -> dict[str, Any]:
        """A value's class: what its built-in base decides is decided here, what its own class adds is asked for."""
        kept = {name: value for name, value in contents.items() if name in _ADDED_TO_VALUES or name[:2] != "__"}
        asked = {name: self._method(name) for name in own if type(name) is str}
        return kept | asked | self._asked_for(contents)

    def _of_exception(self, contents: dict[str, Any]) -> dict[str, Any]:
        def text(error: Any) -> str:
            return str(vars(error).get("_text", ""))

        return self._asked_for(contents) | {"__str__": text}

    def _asked_for(self, contents: dict[str, Any]) -> dict[str, Any]:
        ask = self._ask

        def look_up(mirror: Any, attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return ask(mirror, "__getattribute__", (attribute,))

        return {"__getattr__": look_up, "__module__": contents["__module__"], "_ask": ask}

    def _method(self, name: str) -> Callable[..., Any]:
        ask = self._ask

        def call(mirror: Any, *arguments: Any, **keywords: Any) -> Any:
            return ask(ask(mirror, "__getattribute__", (name,)), "__call__", arguments, keywords)

        return call

    def _of_dataclass(self, fields: list[str], by_fields: bool) -> dict[str, Any]:
        """Fields for ``dataclasses.asdict`` and its like, and an equality by their values, decided here."""
        dataclasses = importlib.import_module("dataclasses")
        made = dataclasses.make_dataclass("fields", fields)
        contents = {"__dataclass_fields__": made.__dataclass_fields__, "__match_args__": tuple(fields)}

        def values_of(mirror: Any) -> list[Any]:
            return [self._ask(mirror, "__getattribute__", (field,)) for field in fields]

        def equal(mirror: Any, other: Any) -> Any:
            return values_of(mirror) == values_of(other) if type(other) is type(mirror) else NotImplemented

        return contents | {"__eq__": equal, "__ne__": object.__ne__} if by_fields else contents

    def _make_enum(
        self, told: dict[str, Wire], reader: Reader, bases: tuple[Any, ...], contents: dict[str, Any]
    ) -> Any:
        """A real enumeration of the same members; what else they have is asked for."""
        if told["module"] == "enum":
            return getattr(enum, told["name"])
        mixed = tuple(base for base in bases if base in _VALUES)
        own = tuple(base for base in bases if isinstance(base, enum.EnumType))
        members = [(name, reader.read(value)) for name, value in told["members"]]
        ask = self._ask

        def look_up(member: Any, attribute: str) -> Any:
            if attribute.startswith("_"):
                raise AttributeError(attribute)
            return ask(member, "__getattribute__", (attribute,))

        def body(namespace: Any) -> None:
            for name, value in [*contents.items(), ("__getattr__", look_up), *members]:
                namespace[name] = value

        asking = contents.pop("_ask")
        made = types.new_class(told["name"], (*mixed, *own) or (enum.Enum,), {"metaclass": MirrorEnum}, body)
        type.__setattr__(made, "_ask", asking)
        return made

    def _member(self, reader: Reader, told: Wire) -> Any:
        kind, number, name, value = told
        made = self._class(reader, kind)
        value = reader.read(value)
        return self._keep(number, made(value) if name is None else made[name])

    def _exception(self, reader: Reader, told: Wire) -> Any:
        kind, number, arguments, text, attributes, cause = told
        made = self._class(reader, kind)
        if not issubclass(made, BaseException):
            raise WireError("an exception is wanted")
        error = self._things.get(number) or _new_exception(made, reader.items(arguments), str(text))
        if number is not None:
            self._keep(number, error)
        for name, value in reader.pairs(attributes):
            if name in ("name", "path"):
                setattr(error, name, value)
            elif type(name) is str and not name.startswith("__"):
                error.__dict__[name] = value
        if isinstance(made, MirrorType):
            error.__dict__["_text"] = text
        if cause is not None:
            error.__cause__ = reader.read(cause)
        return error

    def _subclass(self, reader: Reader, told: Wire) -> Any:
        number, kind, base = told
        made = self._class(reader, kind)
        value = reader.read(base)
        known = self._things.get(number)
        return known if known is not None else self._keep(number, made.__new__(made, value))

    def _box(self, reader: Reader, told: Wire) -> Any:
        number, kind, content = told
        made = self._class(reader, kind)
        known = self._things.get(number)
        box = known if known is not None else self._keep(number, made.__new__(made))
        reader.boxes.append(box)
        reader.refill(box, content)
        return box

    def _module(self, reader: Reader, told: Wire) -> Any:
        """Our own of that name where there is one: a test that leans on an import of the program means the module."""
        name, number, kind = told
        made = self._class(reader, kind)
        try:
            return importlib.import_module(name)
        except Exception:  # one of the program's own making
            return self._things.get(number) or self._keep(number, object.__new__(made))


_READ: dict[str, Callable[[Mirrors, Reader, Wire], Any]] = {
    "class": Mirrors._class,
    "object": Mirrors._object,
    "exception": Mirrors._exception,
    "member": Mirrors._member,
    "namedtuple": Mirrors._tuple,
    "module": Mirrors._module,
    "subclass": Mirrors._subclass,
    "box": Mirrors._box,
}
_VALUES = (int, float, complex, str, bytes, tuple, frozenset)
_ADDED_TO_VALUES = ("__str__", "__repr__", "__format__", "__call__", "__enter__", "__exit__", "__module__")


_A_FUNCTION = Own().describe(FUNCTION, Teller())


def _new_exception(kind: Any, arguments: list[Any], text: str) -> BaseException:
    """Made as its built-in base makes it, so that ``errno`` and its like are there; by its text where it will not."""
    base: Any = next(base for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base)
    try:
        error: BaseException = base.__new__(kind, *arguments)
        base.__init__(error, *arguments)
    except TypeError:
        error = BaseException.__new__(kind, text)
    return error


def _stop_with(value: Any) -> Any:
    raise StopIteration(value)
