"""Which operators cross, and how the side that has the object performs each."""

from __future__ import annotations

import copy
import operator
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_SIDED = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "and", "or", "xor"]
ARITHMETIC = (*(f"__{side}{name}__" for name in _SIDED for side in ("", "r", "i")), "__divmod__", "__rdivmod__")
NUMBERS = (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__round__", "__trunc__", "__floor__"),
    *("__ceil__", "__abs__", "__neg__", "__pos__", "__invert__"),
)
CONTAINERS = (
    *("__len__", "__iter__", "__next__", "__reversed__", "__contains__", "__length_hint__"),
    *("__getitem__", "__setitem__", "__delitem__"),
)
OTHERS = (
    *("__call__", "__hash__", "__str__", "__repr__", "__format__", "__bytes__", "__fspath__", "__enter__", "__exit__"),
    *("__await__", "__aiter__", "__anext__", "__aenter__", "__aexit__"),
)
CROSSING = (*COMPARISONS, *ARITHMETIC, *NUMBERS, *CONTAINERS, *OTHERS)
"""Operators that the classes of stand-ins have where the class they stand for has them."""

_QUICKLY_S = 0.001


def _next_few(iterator: Any, most: int) -> tuple[list[Any], BaseException | None]:
    """Up to so many items, no more than come quickly, and what ended them, where something did."""
    items: list[Any] = []
    enough = time.perf_counter() + _QUICKLY_S
    try:
        while len(items) < most and (not items or time.perf_counter() < enough):
            items.append(next(iterator))
    except BaseException as error:  # told when the items before it are used up
        return items, error
    return items, None


def _finish(awaitable: Any) -> Any:
    """Run it to its end here, where its event loop is, if its program has any use for one."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        return _loop_of(asyncio).run_until_complete(_awaited(awaitable))
    steps = _awaited(awaitable)
    try:
        while True:
            steps.send(None)
    except StopIteration as stop:
        return stop.value


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _loop_of(asyncio: Any) -> Any:
    """The one loop on which all that is awaited runs."""
    try:
        loop = asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        loop = None
    if loop is None or loop.is_closed():
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    perform = divmod if name == "__rdivmod__" else getattr(operator, f"__{name[3:]}")
    return lambda own, other: perform(other, own)


def _special(name: str) -> Callable[..., Any]:
    """A method that only a class has, and no function of the standard library calls for it."""
    return lambda own, *arguments: getattr(type(own), name)(own, *arguments)


def _in_operator(name: str) -> Callable[..., Any]:
    if name in ARITHMETIC and name.startswith("__r") and name != "__rshift__":
        return _reflected(name)
    return getattr(operator, name, None) or _special(name)


_PERFORM: dict[str, Callable[..., Any]] = {name: _in_operator(name) for name in CROSSING} | {
    "__call__": lambda own, *arguments, **keywords: own(*arguments, **keywords),
    "__getattribute__": getattr,
    "__setattr__": setattr,
    "__delattr__": delattr,
    "__bool__": bool,
    "__int__": int,
    "__float__": float,
    "__complex__": complex,
    "__round__": round,
    "__len__": len,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    "__hash__": hash,
    "__str__": str,
    "__repr__": repr,
    "__format__": format,
    "__bytes__": bytes,
    "__divmod__": divmod,
    "__pow__": pow,
    "__await__": _finish,
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "next few": _next_few,
    "values of": lambda own, *names: [getattr(own, name) for name in names],
    "compare": lambda own, name, other: getattr(type(own), name)(own, other),
}
"""All that is ever performed; there is no other way to name an operation."""


def perform(own: Any, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Do to an object of ours what the other side asks; raises whatever that does, and LookupError for what is none."""
    return _PERFORM[name](own, *arguments, **keywords)


Ask = Callable[..., Any]
"""Sends one operation: the stand-in, the operation's name, arguments, keywords; returns its outcome or raises it."""


def sent(ask: Ask) -> Callable[[str], Callable[..., Any]]:
    """What makes the operators of stand-ins, each of which sends itself."""
    return lambda name: _awaited_by(ask) if name == "__await__" else _sent(ask, name)


def _sent(ask: Ask, name: str) -> Callable[..., Any]:
    def send(mirror: Any, *arguments: Any, **keywords: Any) -> Any:
        return ask(mirror, name, arguments, keywords)

    return send


def _awaited_by(ask: Ask) -> Callable[..., Any]:
    def wait(mirror: Any) -> Generator[Any, Any, Any]:
        return ask(mirror, "__await__")
        yield

    return wait
