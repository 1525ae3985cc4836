"""The candidate's side: load the program, then answer calls, or just run it.

Nothing here is trusted once the program has run: whatever it sends is only an answer to judge. So nothing here knows
what is expected of it.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import importlib
import os
import sys
import types
from typing import Any

from . import frames, values
from .served import Served, make_room

FILENAME = "<candidate>"


def run(task: dict[str, Any], channel: int) -> None:
    """Be the candidate of one task, in a process forked for it; never returns."""
    make_repeatable(task["program"])
    gc.enable()
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # what `site` would have added
    if task["mode"] == "serve":
        _serve(task, channel)
    else:
        _run_whole(task, channel)


def make_repeatable(source: str) -> None:
    """Give source that may draw random numbers the same ones every time."""
    if "random" in source:
        importlib.import_module("random").seed(0)


def _send(channel: int, message: dict[str, Any]) -> None:
    frames.write_frame(channel, values.dumps(message))


def _fresh_main(name: str) -> dict[str, Any]:
    """A new module for the program, in place of ours, so that ``import __main__`` finds itself."""
    module = types.ModuleType(name)
    sys.modules["__main__"] = sys.modules[name] = module
    module.__dict__["__builtins__"] = builtins
    return module.__dict__


def _compile(source: str) -> types.CodeType:
    """Raises SyntaxError, whatever the parser made of the source."""
    try:
        return compile(source, FILENAME, "exec", dont_inherit=True)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"{type(error).__name__}: {error}") from None


def _describe(error: BaseException) -> dict[str, Any]:
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


def _serve(task: dict[str, Any], channel: int) -> None:
    namespace = _fresh_main("candidate")
    try:
        program = _compile(task["program"])
        setup = _compile(task["setup"])
    except SyntaxError as error:
        _send(channel, {"syntax": str(error)})
        return
    make_room()
    try:
        exec(program, namespace)  # noqa: S102  # the room's purpose
        exec(setup, namespace)  # noqa: S102
    except BaseException as error:
        _send(channel, _describe(error))
        return
    answer_calls(namespace, channel)


def answer_calls(namespace: dict[str, Any], channel: int) -> None:
    """Say which functions there are and answer what is asked, until nobody asks any more."""
    Served(namespace, channel).serve()


def _run_whole(task: dict[str, Any], channel: int) -> None:
    """A whole program, as ``python FILE`` would run it; says on the channel how it ended."""
    namespace = _fresh_main("__main__")
    try:
        program = _compile(task["program"])
    except SyntaxError as error:
        _send(channel, {"syntax": str(error)})
        os._exit(1)
    ending: dict[str, Any] = {"ready": True}
    try:
        exec(program, namespace)  # noqa: S102
    except BaseException as error:
        ending = _describe(error)
        _print_error(error)
    code = _exit_code(ending)
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()  # as the interpreter does: wait for threads, then run handlers
    atexit._run_exitfuncs()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    _send(channel, ending)
    os._exit(code)


def _print_error(error: BaseException) -> None:
    if not isinstance(error, SystemExit):
        with contextlib.suppress(Exception):
            sys.excepthook(type(error), error, error.__traceback__)


def _exit_code(ending: dict[str, Any]) -> int:
    return 0 if "ready" in ending or ending.get("exit") in ("None", "0", "False") else 1
