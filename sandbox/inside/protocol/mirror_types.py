"""The classes of stand-in classes: what a class of the other side is here, whatever it says of itself."""

from __future__ import annotations

import enum
from typing import Any

from .operators import Ask
from .wire import Untellable


class MirrorType(type):
    """The class of stand-in classes: what they do not have themselves is asked of the class they stand for."""

    _ask: Ask

    def __new__(mcs, name: str, bases: tuple[type, ...], contents: dict[str, Any]) -> Any:
        """A stand-in class; a test's own class cannot be made from one."""
        if "_ask" not in contents:
            raise Untellable(f"a class of the test, {name}, that is made from one of the program")
        return super().__new__(mcs, name, bases, contents)

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        """An instance, made on the other side."""
        return cls._ask(cls, "__call__", arguments, keywords)

    def __getattr__(cls, name: str) -> Any:
        return cls._ask(cls, "__getattribute__", (name,))

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._ask(cls, "__setattr__", (name, value))

    def __getitem__(cls, key: Any) -> Any:
        return cls._ask(cls, "__getitem__", (key,))


class MirrorEnum(enum.EnumType):
    """The class of enumerations of the other side: what they have beside their members is asked for."""

    _ask: Ask

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return cls._ask(cls, "__getattribute__", (name,))


def is_mirror(thing: Any) -> bool:
    """Whether it stands for something of the other side, whatever it says of itself."""
    kind = type(thing)
    return isinstance(kind, MirrorType | MirrorEnum) or kind in (MirrorType, MirrorEnum)
