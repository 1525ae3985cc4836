"""A whole program, run and ended as ``python FILE`` would run and end it.

As in ``candidate``, nothing here is trusted once the program has run.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import io
import os
import signal
import site
import sys
import types
from typing import Any, NoReturn

from ..scratch import PROGRAM_FILE
from . import candidate

NATIVE_DEPTH = 1000
"""How deep a program may recurse that sets no limit of its own."""
_NOT_FLUSHED = 120
"""The interpreter's exit status where standard output could not be written at the end."""
_MAY_WRITE = (io.IOBase, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)


def run(task: dict[str, Any], channel: int) -> NoReturn:
    """Be the program of one task, in a process forked for it; says on the channel how it ended."""
    own = os.getpid()
    gc.freeze()  # what is there now is not the program's
    candidate.prepare(task["program"])
    _add_what_site_adds()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[:] = [PROGRAM_FILE, *task.get("arguments", ())]
    sys.path.insert(0, os.getcwd())
    path = os.path.abspath(PROGRAM_FILE)
    _write(path, task["program"])
    code = 0
    try:
        ending = _execute(task["program"], path)
    except SyntaxError as error:
        _show(error)
        ending, code = {"syntax": str(error)}, 1
    except BaseException as error:
        ending, code = _ending_of(error, path)
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()  # as the interpreter does: wait for threads, then run handlers
    atexit._run_exitfuncs()
    if os.getpid() == own:  # a process that the program forked has no word in it
        candidate.send(channel, ending)
    _finalise(code)


def _add_what_site_adds() -> None:
    """The built-ins of an interpreter that was not started with ``-S``."""
    site.setquit()
    site.setcopyright()
    site.sethelper()


def _write(path: str, source: str) -> None:
    """The file that the program may read itself in, and that its tracebacks are shown from."""
    with contextlib.suppress(OSError), open(path, "wb") as file:  # one that is too large runs all the same
        file.write(source.encode("utf-8", "surrogatepass"))


def _execute(source: str, path: str) -> dict[str, Any]:
    """Run it to its end; raises what it raises, and SyntaxError for what is no program."""
    code = candidate.compile_source(source, path)
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __annotations__={}, __file__=path, __cached__=None)
    sys.modules["__main__"] = module
    sys.setrecursionlimit(NATIVE_DEPTH + _depth() + 1)  # one for `exec`
    exec(code, module.__dict__)  # noqa: S102  # the room's purpose
    return {"ready": True}


def _depth() -> int:
    """Frames under the caller, which the interpreter itself would not have there."""
    frame, depth = sys._getframe(1), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth + 1


def _ending_of(error: BaseException, path: str) -> tuple[dict[str, Any], int]:
    """What to say of an exception that nobody caught, and the exit status it gives; it is shown as usual."""
    ending = candidate.describe(error)
    if not isinstance(error, SystemExit):
        _show(error)
        return ending, 1
    ending["lines"] = _lines(error, path)
    if error.code is None or isinstance(error.code, int):
        return ending, (error.code or 0) & 0xFF
    with contextlib.suppress(Exception):
        print(error.code, file=sys.stderr)  # noqa: T201  # the interpreter's own way to tell it
    return ending, 1


def _lines(error: BaseException, path: str) -> list[int]:
    """Where the program stood, the outermost frame first."""
    trace, lines = error.__traceback__, []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines


def _show(error: BaseException) -> None:
    own = error.__traceback__
    while own is not None and own.tb_frame.f_globals is globals():
        own = own.tb_next
    with contextlib.suppress(Exception):
        sys.excepthook(type(error), error.with_traceback(own), own)


def _finalise(code: int) -> NoReturn:
    """Let everything that the program made have its last word, as the interpreter's own end does, and leave.

    To take all modules apart would copy a thousand pages that are shared with the fork server. So the program's own
    module is let go, and only where something that may still write outlives it the interpreter is ended for real.
    """
    flushed = _flush(getattr(sys, "stdout", None))
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    sys.modules.pop("__main__", None)
    gc.collect()
    if any(_may_write(left) for left in gc.get_objects()):
        ctypes.pythonapi.Py_Exit(code)
    _flush(sys.__stdout__)
    os._exit(code if flushed else _NOT_FLUSHED)


def _may_write(left: object) -> bool:
    """Whether an object of the program may do something when it goes."""
    kind = type(left)
    return issubclass(kind, _MAY_WRITE) or hasattr(kind, "__del__")


def _flush(stream: Any) -> bool:
    """Write what is buffered; False where it cannot be written."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except Exception:  # whatever the program has put in its place
        return False
    return True
