"""The candidate's side: load the program, then answer calls.

Nothing here is trusted once the program has run: whatever it sends is only an answer to judge. So nothing here knows
what is expected of it.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import sys
import types
from typing import Any

from .. import frames, values
from .served import Served, make_room

FILENAME = "<candidate>"


def run(task: dict[str, Any], served: Served) -> None:
    """Be the candidate of one task, in a process forked for it, and answer calls."""
    prepare(task["program"])
    _serve(task, served)


def prepare(source: str) -> None:
    """Make the forked process one in which a program may run."""
    make_repeatable(source)
    gc.enable()
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # what `site` would have added


def make_repeatable(source: str) -> None:
    """Give source that may draw random numbers the same ones every time."""
    if "random" in source:
        importlib.import_module("random").seed(0)
        if "numpy" in source and "numpy" in sys.modules:
            importlib.import_module("numpy.random").seed(0)


def send(channel: int, message: dict[str, Any]) -> None:
    """Say something of the program's own course: that it does not compile, what it raised, how it ended."""
    frames.write_frame(channel, values.dumps(message))


def _fresh_main(name: str) -> dict[str, Any]:
    """A new module for the program, in place of ours, so that ``import __main__`` finds itself."""
    module = types.ModuleType(name)
    sys.modules["__main__"] = sys.modules[name] = module
    module.__dict__["__builtins__"] = builtins
    return module.__dict__


def compile_source(source: str, filename: str = FILENAME) -> types.CodeType:
    """Raises SyntaxError, whatever the parser made of the source, which may begin with a byte order mark."""
    try:
        return compile(source.removeprefix("\ufeff"), filename, "exec", dont_inherit=True)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"{type(error).__name__}: {error}") from None


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as a message: its nearest built-in type, its text, the program's line it came from."""
    if isinstance(error, SystemExit):
        return {"exit": str(error.code)}
    kind = next(base.__name__ for base in type(error).__mro__ if getattr(builtins, base.__name__, None) is base)
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        text = str(error)[:500]
    except BaseException:  # a hostile __str__ changes nothing but its own message
        text = ""
    return {"raised": kind, "text": text, "line": line}


def _serve(task: dict[str, Any], served: Served) -> None:
    namespace = _fresh_main("candidate")
    try:
        program = compile_source(task["program"])
        setup = compile_source(task["setup"])
    except SyntaxError as error:
        send(served.channel, {"syntax": str(error)})
        return
    make_room()
    try:
        exec(program, namespace)  # noqa: S102  # the room's purpose
        exec(setup, namespace)  # noqa: S102
    except BaseException as error:
        send(served.channel, describe(error))
        return
    served.serve(namespace)
