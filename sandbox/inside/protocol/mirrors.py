"""Stand-ins for the objects of the other side, of stand-in classes that have its operators, each sent over when used.

A class that can be an exception's, an enumeration, a named tuple or a container becomes a real one here, so that
``except``, ``is``, ``isinstance`` and equality are decided here; of any other object nothing is here but its number.
"""

from __future__ import annotations

import enum
import importlib
import types
from collections import Counter, OrderedDict, UserString, defaultdict, deque, namedtuple
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from . import described, library
from .mirror_types import (
    ASK,
    SEEN_AS,
    MirrorEnum,
    MirrorType,
    between_two,
    is_asked_of_an_object,
    is_mirror,
    new_exception,
    operator_of,
)
from .operators import ARITHMETIC, COMPARISONS, Ask
from .own import FUNCTION, Own
from .reading import Reader
from .telling import Teller
from .wire import TYPES, Wire, WireError

_BOXES = {kind.__name__: kind for kind in (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)}


class Mirrors:
    """Makes stand-ins and knows which number each has."""

    def __init__(self, ask: Ask, operator: Callable[[str], Callable[..., Any]]) -> None:
        self._ask = ask
        self._operator = operator
        """Makes the function that stand-in classes have for an operator that crosses."""
        self._things: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self.module_names: dict[int, str] = {}
        """What the other side calls those of its objects that it says are modules."""
        self.function_class: Any = self._class(Reader(), 0)
        """The class of stand-ins for functions."""

    def number_of(self, thing: Any) -> int | None:
        """The number of what a stand-in stands for; None for anything else."""
        return self._numbers.get(id(thing))

    def without_number(self, thing: Any, teller: Teller) -> Wire | None:
        """What crosses of an instance that was made here of a class of the other side; None for anything else."""
        kind = type(thing)
        number = self._numbers.get(id(kind))
        if number is None or isinstance(thing, type) or (isinstance(thing, BaseException) and not is_mirror(thing)):
            return None
        if isinstance(kind, MirrorEnum) and isinstance(thing, enum.Enum):
            return {"your member": [number, teller.tell(thing._value_)]}
        if isinstance(thing, tuple):
            return {"your tuple": [number, teller.items(tuple.__iter__(thing), -1, 1)]}
        return teller.base_value(thing, -1)

    def of_function(self, number: int) -> Any:
        """A stand-in for a function of the other side."""
        known = self._things.get(number)
        return self._keep(number, object.__new__(self.function_class)) if known is None else known

    def _known(self, number: Any, kind: Any) -> Any:
        """What has that number, of that class; None where nothing has it yet."""
        known = self._things.get(number) if type(number) is int else None
        if known is not None and type(known) is not kind:
            raise WireError("a number stands for one object")
        return known

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

    def _mirror_class(self, reader: Reader, told: Wire, *bases: type) -> Any:
        """A stand-in class, which is a subclass of one of them."""
        made = self._class(reader, told)
        if not isinstance(made, MirrorType) or not issubclass(made, bases or object):
            raise WireError("another class of the other side is wanted")
        return made

    def _object(self, reader: Reader, told: Wire) -> Any:
        number, kind = told
        made = self._mirror_class(reader, kind)
        known = self._known(number, made)
        return self._keep(number, object.__new__(made)) if known is None else known

    def _tuple(self, reader: Reader, told: Wire) -> Any:
        kind, items = told
        made = self._mirror_class(reader, kind, tuple)
        if len(items) != len(made._fields):
            raise WireError("a named tuple is wanted")
        return tuple.__new__(made, reader.items(items))

    def _class(self, reader: Reader, told: Wire) -> Any:
        if type(told) is str:
            return TYPES[told]
        number, description = (told, None) if type(told) is int else told
        kind = self._things.get(number) if type(number) is int else None
        if kind is None:
            if description is None and number != 0:
                raise WireError("no such class")
            kind = self._keep(number, self._make_class(description or _A_FUNCTION, reader))
        if not isinstance(kind, type):
            raise WireError("a class is wanted")
        return kind

    def _make_class(self, told: Wire, reader: Reader) -> Any:
        described.check(told)
        bases = tuple(self._class(reader, base) for base in told["bases"])
        shared = library.shared_class(told["module"], told["name"])
        if shared is not None:
            return shared
        contents: dict[str, Any] = {name: self._operator(name) for name in told["operators"]}
        contents |= {"__module__": told["module"], ASK: self._ask}
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
        name: str = told["name"]
        base: Any
        if any(issubclass(base, BaseException) for base in bases):
            return name, BaseException, self._of_exception(contents)
        if "fields" in told:
            mirrored = any(isinstance(base, MirrorType) and issubclass(base, tuple) for base in bases)
            base = tuple if mirrored else namedtuple("fields", told["fields"])
            return name, base, self._of_value(contents, (), tuple)
        if "box" in told:
            base = _BOXES[told["box"]]
            return name, base, self._of_value(contents, described.own_names(told["own"], base), base)
        value = next((kind for kind in _VALUES if any(issubclass(base, kind) for base in bases)), None)
        if value is not None:
            return name, value, self._of_value(contents, (), value)
        if "dataclass" in told:
            contents |= self._of_dataclass(*told["dataclass"])
        return name, object, contents | self._of_object(SEEN_AS.get((told["module"], name)))

    def _of_object(self, seen_as: Any) -> dict[str, Any]:
        """What every stand-in has: attributes that are asked for, and a copy that is a copy over there."""
        ask = self._ask

        def look_up(mirror: Any, attribute: str) -> Any:
            if attribute == "__class__":
                return seen_as or type(mirror)
            if attribute == "__dataclass_fields__" and hasattr(type(mirror), attribute):
                return getattr(type(mirror), attribute)
            if attribute == "__deepcopy__":
                return lambda _: ask(mirror, "__deepcopy__")
            if attribute == "send" and seen_as is CoroutineType:
                return lambda _: _stop_with(ask(mirror, "__await__"))
            if not is_asked_of_an_object(attribute):
                return operator_of(mirror, attribute)
            found = ask(mirror, "__getattribute__", (attribute,))
            return _without_words(found) if attribute == "__annotations__" else found

        return {
            "__getattribute__": look_up,
            "__setattr__": lambda mirror, attribute, value: ask(mirror, "__setattr__", (attribute, value)),
            "__delattr__": lambda mirror, attribute: ask(mirror, "__delattr__", (attribute,)),
            "__dir__": lambda mirror: ask(mirror, "__getattribute__", ("__dir__",))(),
            "__copy__": lambda mirror: ask(mirror, "__copy__"),
        }

    def _of_value(self, contents: dict[str, Any], own: Any, base: Any) -> dict[str, Any]:
        """A value's class: what its built-in base decides is decided here, what its own class adds is asked for."""
        kept = {name: value for name, value in contents.items() if name in _ADDED_TO_VALUES or name == ASK}
        kept |= {
            name: between_two(value, getattr(base, name, None))
            for name, value in contents.items()
            if name in ARITHMETIC or name in COMPARISONS
        }
        if "__eq__" in kept:
            kept["__hash__"] = base.__hash__
        asked = {name: self._method(name) for name in own}
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

        return {"__getattr__": look_up, "__module__": contents["__module__"], ASK: ask}

    def _method(self, name: str) -> Callable[..., Any]:
        ask = self._ask

        def call(mirror: Any, *arguments: Any, **keywords: Any) -> Any:
            return ask(ask(mirror, "__getattribute__", (name,)), "__call__", arguments, keywords)

        return call

    def _of_dataclass(self, fields: list[str], compared: list[str] | None) -> dict[str, Any]:
        """Fields for ``dataclasses.asdict`` and its like, and an equality by their values, decided here."""
        dataclasses = importlib.import_module("dataclasses")
        made = dataclasses.make_dataclass("fields", fields)
        contents = {"__dataclass_fields__": made.__dataclass_fields__, "__match_args__": tuple(fields)}

        def values_of(mirror: Any) -> list[Any]:
            values: list[Any] = self._ask(mirror, "values of", tuple(compared or ()))
            return values

        def equal(mirror: Any, other: Any) -> Any:
            return values_of(mirror) == values_of(other) if type(other) is type(mirror) else NotImplemented

        return contents | {"__eq__": equal, "__ne__": object.__ne__} if compared is not None else contents

    def _make_enum(
        self, told: dict[str, Wire], reader: Reader, bases: tuple[Any, ...], contents: dict[str, Any]
    ) -> Any:
        """A real enumeration of the same members; what else they have is asked for."""
        mixed = tuple(base for base in bases if base in _VALUES)
        own = tuple(base for base in bases if isinstance(base, enum.EnumType))
        members = [(name, reader.read(value)) for name, value in told["members"]]
        ask = contents.pop(ASK)
        if mixed:
            contents = {name: value for name, value in contents.items() if name in _ADDED_TO_VALUES}

        def look_up(member: Any, attribute: str) -> Any:
            if attribute.startswith("_"):
                raise AttributeError(attribute)
            return ask(member, "__getattribute__", (attribute,))

        def body(namespace: Any) -> None:
            for name, value in [*contents.items(), ("__getattr__", look_up), *members]:
                namespace[name] = value

        made = types.new_class(told["name"], (*mixed, *own) or (enum.Enum,), {"metaclass": MirrorEnum}, body)
        type.__setattr__(made, ASK, ask)
        return made

    def _member(self, reader: Reader, told: Wire) -> Any:
        kind, number, name, value = told
        made = self._class(reader, kind)
        if not isinstance(made, enum.EnumType):
            raise WireError("an enumeration is wanted")
        value = reader.read(value)
        member: Any = made(value) if name is None else made.__members__[name]
        return member if self._known(number, made) is member else self._keep(number, member)

    def _exception(self, reader: Reader, told: Wire) -> Any:
        kind, number, arguments, text, attributes, cause = told
        made = self._class(reader, kind)
        if not issubclass(made, BaseException) or type(text) is not str:
            raise WireError("an exception is wanted")
        error = self._known(number, made)
        if error is None:
            error = new_exception(made, reader.items(arguments), text)
        if number is not None:
            self._keep(number, error)
        for name, value in reader.pairs(attributes):
            if name in ("name", "path"):
                setattr(error, name, value if type(value) is str else None)
            elif type(name) is str and not name.startswith("__"):
                error.__dict__[name] = value
        if isinstance(made, MirrorType):
            error.__dict__["_text"] = text
        if cause is not None:
            error.__cause__ = reader.read(cause)
        return error

    def _subclass(self, reader: Reader, told: Wire) -> Any:
        number, kind, base = told
        value = reader.read(base)
        if type(value) not in _VALUES:
            raise WireError("a value of the class's base is wanted")
        made = self._mirror_class(reader, kind, type(value))
        known = self._known(number, made)
        return known if known is not None else self._keep(number, made.__new__(made, value))

    def _box(self, reader: Reader, told: Wire) -> Any:
        number, kind, content = told
        made = self._mirror_class(reader, kind, *_BOXES.values())
        known = self._known(number, made)
        box = known if known is not None else self._keep(number, made.__new__(made))
        reader.boxes.append(box)
        reader.refill(box, content)
        return box

    def _module(self, reader: Reader, told: Wire) -> Any:
        """A handle like any other; nothing is imported because the other side says so."""
        name, number, kind = told
        if type(name) is not str:
            raise WireError("a module's name is wanted")
        module = self._object(reader, [number, kind])
        self.module_names[number] = name
        return module


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


def _without_words(annotations: Any) -> dict[Any, Any]:
    """Annotations with no text among them, which `typing` would evaluate, and so run what the other side wrote."""
    if not isinstance(annotations, dict):
        return {}
    return {name: _meant(value) if isinstance(value, str) else value for name, value in dict.items(annotations)}


def _meant(words: str) -> Any:
    plain = str.__str__(words)
    return TYPES[plain] if plain in TYPES else UserString(plain)


def _stop_with(value: Any) -> Any:
    raise StopIteration(value)
