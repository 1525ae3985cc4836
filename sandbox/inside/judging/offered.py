"""What a program may do with the objects of a test: little, by what they are, and nothing that is not written here.

A function can be called, a generator be read on, an instance of a class that the test defines be used by what that
class defines. Attributes that lead into the test's source and globals belong to none of it.
"""

from __future__ import annotations

import functools
import io
import operator
import re
import sys
import types
from typing import Any

from ..protocol.mirror_types import MirrorEnum, MirrorType
from ..protocol.operators import CROSSING
from ..protocol.wire import TYPES

TEST_MODULE = "test"
"""The ``__name__`` of a test's globals, and so the module of the classes that it defines."""
_NAMES = ("__name__", "__qualname__", "__doc__")
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_OF_STREAM = (
    *("read", "readline", "readlines", "write", "writelines", "getvalue", "seek", "tell", "truncate", "flush", "close"),
    *("closed", "readable", "writable", "seekable"),
)
_MODULES_OF_ITERATORS = ("builtins", "itertools")
_COMPARED = ("__eq__", "__ne__", "__hash__")
_OPERATORS_OF: dict[type, tuple[str, ...]] = {
    io.StringIO: ("__iter__", "__next__", "__enter__", "__exit__"),
    io.BytesIO: ("__iter__", "__next__", "__enter__", "__exit__"),
    types.CoroutineType: ("__await__",),
    types.AsyncGeneratorType: ("__aiter__", "__anext__"),
    re.Match: ("__getitem__",),
    re.Pattern: _COMPARED,
    types.MethodType: _COMPARED,
    types.BuiltinFunctionType: _COMPARED,
}
_ATTRIBUTES_OF: dict[type, tuple[str, ...]] = {
    io.StringIO: _OF_STREAM,
    io.BytesIO: _OF_STREAM,
    types.GeneratorType: ("send", "throw", "close"),
    types.CoroutineType: ("send", "throw", "close"),
    re.Pattern: ("match", "search", "fullmatch", "findall", "finditer", "split", "sub", "subn", "pattern", "flags"),
    re.Match: ("group", "groups", "groupdict", "start", "end", "span", "string"),
}
_CALLED = (types.FunctionType, types.MethodType, functools._lru_cache_wrapper)
_OF_CODE = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_name")
_STARRED = (0x04, 0x08)
"""Flags of code that takes any number of positional arguments, or of keywords."""
_OF_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__", "__annotations__")
_CALLED_IN_PARTS = (*TYPES.values(), pow, max, min, sum, abs, round, divmod, len, sorted)
"""Built-in functions that a ``partial`` of the test may call."""
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_ARGUMENTS = {"__round__": (0, 1), "__pow__": (1, 2), "__setitem__": (2, 2), "__exit__": (3, 3), "__aexit__": (3, 3)}
_ALONE = (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__trunc__", "__floor__", "__ceil__", "__abs__"),
    *("__neg__", "__pos__", "__invert__", "__len__", "__iter__", "__next__", "__reversed__", "__length_hint__"),
    *("__hash__", "__str__", "__repr__", "__bytes__", "__fspath__", "__enter__", "__await__", "__aiter__"),
    *("__anext__", "__aenter__"),
)


def refuse_what_is_not_offered(thing: Any, operation: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
    """Raises TypeError, or AttributeError, for the program to get, where an operation is not one of these."""
    if operation == "__call__" and _is_called(thing):
        return
    if operation in ("__getattribute__", "__setattr__", "__delattr__") and not keywords:
        _refuse_attribute(thing, operation, arguments)
    elif operation in ("__copy__", "__deepcopy__") and _is_of_test(type(thing)) and not (arguments or keywords):
        return
    elif operation not in CROSSING or operation == "__call__" or keywords or not _operates(thing, operation, arguments):
        raise TypeError(f"the program may not ask this of a {type(thing).__name__!r} object of the test")


def shown(thing: Any, name: str) -> Any:
    """An attribute that is the program's to see; of a function how it is called, not what it does or falls back on."""
    value = getattr(thing, name)
    if isinstance(thing, types.FunctionType):
        if name == "__code__":
            return _signature_of(value)
        if name in ("__defaults__", "__kwdefaults__") and value is not None:
            return dict.fromkeys(value, ...) if isinstance(value, dict) else (...,) * len(value)
    return value


def _signature_of(code: types.CodeType) -> types.SimpleNamespace:
    """What `inspect.signature`, and what curries functions, looks at."""
    starred = sum(bool(code.co_flags & flag) for flag in _STARRED)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
    told = {name: getattr(code, name) for name in _OF_CODE}
    return types.SimpleNamespace(**told, co_varnames=names)


def _refuse_attribute(thing: Any, operation: str, arguments: list[Any]) -> None:
    wanted = 2 if operation == "__setattr__" else 1
    if len(arguments) != wanted or type(arguments[0]) is not str:
        raise TypeError("the name of an attribute is wanted")
    name = arguments[0]
    offers = _shows if operation == "__getattribute__" else _lets_set
    if not offers(thing, name):
        raise AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}", name=name)


def _shows(thing: Any, name: str) -> bool:
    """Whether an attribute of it is the program's to see."""
    if name.startswith("_"):
        is_function = isinstance(thing, types.FunctionType)
        return (name in _NAMES and (is_function or isinstance(thing, type))) or (name in _OF_FUNCTION and is_function)
    kind = type(thing)
    if isinstance(thing, type):
        return _is_of_test(thing) and _is_of_test(_definer(thing, name))
    if _is_mock(kind):
        return _definer(kind, name) is None and name != "method_calls"
    if _is_of_test(kind):
        return _is_attribute_of_test(thing, kind, name)
    if kind in (types.SimpleNamespace, types.FunctionType):
        return name in vars(thing)
    return name in _ATTRIBUTES_OF.get(kind, ()) or kind is getattr(sys.modules.get("random"), "Random", None)


def _is_attribute_of_test(thing: Any, kind: type, name: str) -> bool:
    """Whether an instance has it itself, or a class of the test gives it."""
    definer = _definer(kind, name)
    if definer is None:
        return name in getattr(thing, "__dict__", {}) or _is_of_test(_definer(kind, "__getattr__"))
    return _is_of_test(definer)


def _lets_set(thing: Any, name: str) -> bool:
    kind = type(thing)
    if name.startswith("_") or isinstance(thing, type):
        return False
    return kind is types.SimpleNamespace or (_is_of_test(kind) and _is_of_test(_definer(kind, name) or kind))


def _is_called(thing: Any) -> bool:
    kind = type(thing)
    if isinstance(thing, type):
        return _is_of_test(thing) and not issubclass(thing, type)
    if kind is functools.partial:
        return type(thing.func) in _CALLED or any(thing.func is each for each in _CALLED_IN_PARTS)
    if kind in (types.BuiltinFunctionType, types.MethodWrapperType):
        return not thing.__name__.startswith("_") or thing.__name__ in CROSSING
    return kind in _CALLED or kind in _GETTERS or _is_mock(kind) or _is_of_test(_definer(kind, "__call__"))


def _operates(thing: Any, operation: str, arguments: list[Any]) -> bool:
    least, most = _ARGUMENTS.get(operation, (0, 0) if operation in _ALONE else (1, 1))
    if not least <= len(arguments) <= most or (operation == "__format__" and type(arguments[0]) is not str):
        return False
    kind = type(thing)
    if operation in _OPERATORS_OF.get(kind, ()) or kind in _VIEWS:
        return True
    if operation in ("__iter__", "__next__") and kind.__module__ in _MODULES_OF_ITERATORS:
        return hasattr(kind, "__next__")
    if operation in ("__enter__", "__exit__") and kind.__module__ == "contextlib":
        return True
    if operation == "__await__" and kind.__name__ == "async_generator_asend":
        return kind.__module__ == "builtins"
    return _is_of_test(_definer(kind, operation)) or (_is_mock(kind) and hasattr(kind, operation))


def _definer(kind: type, name: str) -> Any:
    """The class from which instances of ``kind`` have an attribute; None where no class has it."""
    return next((base for base in kind.__mro__ if name in vars(base)), None)


def _is_of_test(kind: Any) -> bool:
    """Whether it is a class that the test's own source defines."""
    return isinstance(kind, type) and not isinstance(kind, MirrorType | MirrorEnum) and kind.__module__ == TEST_MODULE


def _is_mock(kind: type) -> bool:
    mock = getattr(sys.modules.get("unittest.mock"), "NonCallableMock", None)
    return mock is not None and issubclass(kind, mock)
