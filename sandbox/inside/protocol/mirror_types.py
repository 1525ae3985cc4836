"""The classes of stand-in classes: what a class of the other side is here, whatever it says of itself."""

from __future__ import annotations

import builtins
import enum
import functools
import re
import types
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

from .operators import COMPARISONS, Ask
from .wire import Untellable

ASK = " ask"
"""Under which a stand-in class holds what sends its operations: no name that a program or a test can write."""
_ASKED_OF_A_CLASS = frozenset(
    """__init__ __doc__ __annotations__ __slots__ __abstractmethods__ __wrapped__ __match_args__ __orig_bases__
    __parameters__ __total__ __required_keys__ __optional_keys__ __signature__""".split()  # noqa: SIM905
)
_ASKED_OF_AN_OBJECT = frozenset(
    """__dict__ __doc__ __name__ __qualname__ __module__ __wrapped__ __annotations__ __defaults__ __kwdefaults__
    __code__ __signature__ __self__ __func__ __init__ __closure__ __dir__ __text_signature__ __origin__ __args__
    __parameters__ __file__ __version__ __all__""".split()  # noqa: SIM905
)
"""Of all names with two underscores: by others a library finds out whether an object answers for it, as numpy does."""
SEEN_AS: dict[tuple[str, str], Any] = {
    ("builtins", "function"): FunctionType,
    ("builtins", "method"): MethodType,
    ("builtins", "generator"): GeneratorType,
    ("builtins", "coroutine"): CoroutineType,
    ("builtins", "async_generator"): AsyncGeneratorType,
    ("builtins", "module"): types.ModuleType,
    ("builtins", "builtin_function_or_method"): type(len),
    **{("builtins", kind.__name__): kind for kind in (map, zip, filter, enumerate, reversed, property, memoryview)},
    ("builtins", "dict_keys"): type({}.keys()),
    ("builtins", "dict_values"): type({}.values()),
    ("builtins", "dict_items"): type({}.items()),
    ("re", "Match"): re.Match,
    ("re", "Pattern"): re.Pattern,
    ("functools", "partial"): functools.partial,
}
"""What ``isinstance`` takes objects of these classes for; none of them is a value's, so it decides no equality."""


_NEVER_ASKED = ("_typ", "_sympy_")
"""By these pandas and sympy do."""


def is_asked_of_a_class(name: str) -> bool:
    """Whether a class of the other side may be asked for an attribute."""
    return not name.startswith("__") or name in _ASKED_OF_A_CLASS


def is_asked_of_an_object(name: str) -> bool:
    """Whether an object of the other side may be asked for an attribute."""
    return name in _ASKED_OF_AN_OBJECT or not (name.startswith("__") or name in _NEVER_ASKED)


class MirrorType(type):
    """The class of stand-in classes: what they do not have themselves is asked of the class they stand for."""

    def __new__(mcs, name: str, bases: tuple[type, ...], contents: dict[str, Any]) -> Any:
        """A stand-in class; a test's own class cannot be made from one."""
        if ASK not in contents:
            raise Untellable(f"a class of the test, {name}, that is made from one of the program")
        return super().__new__(mcs, name, bases, contents)

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        """An instance, made on the other side."""
        return _ask_of(cls)(cls, "__call__", arguments, keywords)

    def __getattr__(cls, name: str) -> Any:
        if not is_asked_of_a_class(name):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}", name=name)
        return _ask_of(cls)(cls, "__getattribute__", (name,))

    def __setattr__(cls, name: str, value: Any) -> None:
        _ask_of(cls)(cls, "__setattr__", (name, value))

    def __getitem__(cls, key: Any) -> Any:
        return _ask_of(cls)(cls, "__getitem__", (key,))


class MirrorEnum(enum.EnumType):
    """The class of enumerations of the other side: what they have beside their members is asked for."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _ask_of(cls)(cls, "__getattribute__", (name,))


def _ask_of(kind: type) -> Ask:
    ask: Ask = type.__getattribute__(kind, ASK)
    return ask


def is_mirror(thing: Any) -> bool:
    """Whether it stands for something of the other side, whatever it says of itself."""
    kind = type(thing)
    return isinstance(kind, MirrorType | MirrorEnum) or kind in (MirrorType, MirrorEnum)


def is_handle(thing: Any) -> bool:
    """Whether it is a stand-in and nothing else: no value of a subclass, no exception, no member, no class."""
    return all(isinstance(kind, MirrorType) or kind is object for kind in type(thing).__mro__)


def between_two(ask: Callable[..., Any], decide: Any) -> Callable[..., Any]:
    """An operator that is the program's own between two of its objects, and with anything else the base's."""

    def operate(mirror: Any, *arguments: Any) -> Any:
        if arguments and isinstance(type(arguments[0]), MirrorType):
            return ask(mirror, *arguments)
        return NotImplemented if decide is None else decide(mirror, *arguments)

    return operate


def operator_of(mirror: Any, name: str) -> Any:
    """An operator of its class here, named as a method; AttributeError where it has none.

    Of a comparison ``NotImplemented`` would be true where a test only asserts it.
    """
    operate = object.__getattribute__(mirror, name)
    if name not in COMPARISONS:
        return operate

    def compare(other: Any) -> Any:
        answer = operate(other)
        return name == "__ne__" if answer is NotImplemented else answer

    return compare


def new_exception(kind: Any, arguments: list[Any], text: str) -> BaseException:
    """Made as its built-in base makes it, so that ``errno`` and its like are there; by its text where it will not."""
    base: Any = next(base for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base)
    try:
        error: BaseException = base.__new__(kind, *arguments)
        base.__init__(error, *arguments)
    except TypeError:
        error = BaseException.__new__(kind, text)
    return error
