"""The judge's side: run a test with proxies where it names the candidate's functions.

The test's source and the expected values are in this process alone. A call goes to the candidate as tagged JSON over
one channel, and what comes back is a value of an exact built-in type, an exception, or nothing more.
"""

from __future__ import annotations

import builtins
import importlib
import math
import sys
import time
import types
from typing import Any

from . import frames, values
from .candidate import make_repeatable

FILENAME = "<test>"


class CandidateGone(BaseException):
    """No further answer will come; no test may catch it as an Exception."""


class Line:
    """The channel to the candidate, and what was heard last on it."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._reader = frames.FrameReader(channel, frames.ANSWER_LIMIT)
        self.ending: dict[str, Any] | None = None
        """Why no further answer comes: its key is ``gone``, ``exit``, ``syntax``, ``raised`` or ``forged``."""
        self.raised: BaseException | None = None
        """The exception that the last call ended in."""
        self.forged = False
        self.calls = 0
        self.waited_s = 0.0
        """Wall seconds for which the last message was waited for."""

    def wait_until_loaded(self) -> None:
        """Returns once the program is loaded; raises CandidateGone where it does not come so far."""
        message = self._read()
        if "ready" not in message:
            raise self._end(self._known(message))

    def call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """One call; raises what it raised, as the nearest built-in exception."""
        if self.ending is not None:
            raise CandidateGone
        self.calls += 1
        told = {"arguments": values.to_wire(list(arguments)), "keywords": values.to_wire(keywords)}
        self._write({"call": name} | told)
        message = self._read()
        if "value" in message:
            return self._value(message["value"])
        if "exit" in message or "raised" not in message:
            raise self._end(self._known(message))
        self.raised = _exception(str(message["raised"]), str(message.get("text", "")))
        raise self.raised

    def _value(self, tree: Any) -> Any:
        try:
            return values.from_wire(tree)
        except values.WireError:
            self.forged = True
            return values.Opaque("malformed")

    def _write(self, request: dict[str, Any]) -> None:
        try:
            frames.write_frame(self._channel, values.dumps(request))
        except OSError:
            raise self._end({"gone": True}) from None

    def _read(self) -> dict[str, Any]:
        """The next message; raises CandidateGone at the end of the channel or where there is no sense in it."""
        began = time.monotonic()
        try:
            payload = self._reader.read()
            if payload is not None:
                message = values.parse(payload)
                if isinstance(message, dict):
                    return message
            self.forged = payload is not None
        except (frames.FrameError, values.WireError):
            self.forged = True
        except OSError:
            pass  # reset: the candidate was killed with our request unread
        finally:
            self.waited_s = time.monotonic() - began
        raise self._end({"forged": True} if self.forged else {"gone": True})

    def _known(self, message: dict[str, Any]) -> dict[str, Any]:
        self.forged = not message.keys() & {"syntax", "raised", "exit"}
        return {"forged": True} if self.forged else message

    def _end(self, ending: dict[str, Any]) -> CandidateGone:
        self.ending = ending
        return CandidateGone()


def _exception(name: str, text: str) -> BaseException:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and the like want more than a text
            return RuntimeError(f"{name}: {text}")
    return RuntimeError(text)


class Proxy(values.Named):
    """Stands in the test for a global of the candidate's program: called, it calls there."""

    def __init__(self, name: str, line: Line) -> None:
        super().__init__(name)
        self._line = line

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Make the call in the candidate's process."""
        return self._line.call(self.name, arguments, keywords)

    def __getattr__(self, attribute: str) -> Any:
        # A test may lean on an import of the program under it (`sys.getsizeof`): the judge uses its own.
        if self.name in sys.stdlib_module_names:
            return getattr(importlib.import_module(self.name), attribute)
        raise AttributeError(f"the test may call {self.name}, not look into it")


class TestGlobals(dict[str, Any]):
    """Globals of a test: what is neither its own nor built in is the candidate's."""

    def __init__(self, line: Line) -> None:
        super().__init__(__name__="test", __builtins__=builtins)
        self._line = line

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) or name.startswith("__"):
            raise KeyError(name)
        return Proxy(name, self._line)


def run(task: dict[str, Any], channel: int) -> dict[str, Any]:
    """Judge one candidate; what is returned is the judge's note to the supervisor."""
    line = Line(channel)
    test = task["test"]
    try:
        outcome = _RUNNERS[test["kind"]](test, line)
    except CandidateGone:
        outcome = {"outcome": "ended", "ending": line.ending}
    except BaseException as error:
        outcome = _failed(error, line)
    if line.ending is not None:  # a test that swallowed the end of its candidate has not passed
        outcome = {"outcome": "ended", "ending": line.ending}
    return outcome | {"forged": line.forged, "calls": line.calls, "waited_s": line.waited_s}


def _failed(error: BaseException, line: Line) -> dict[str, Any]:
    where = _line_of(error)
    if error is line.raised:
        return {"outcome": "raised", "raised": type(error).__name__, "text": str(error), "where": where}
    if isinstance(error, values.Untellable | SyntaxError | SystemExit):
        return {"outcome": "broken test", "text": f"{type(error).__name__}: {error}", "where": where}
    return {"outcome": "failed", "where": where}


def _line_of(error: BaseException) -> str:
    """Where in the test's source, without a word of what stands there."""
    number, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f"line {number} of the test"


def _run_check(test: dict[str, Any], line: Line) -> dict[str, Any]:
    names = TestGlobals(line)
    make_repeatable(test["source"])
    exec(compile(test["source"], FILENAME, "exec", dont_inherit=True), names)  # noqa: S102  # the room's purpose
    # The prompt's stub of the function under test may stand above the test, for its helpers' sake.
    names[test["entry_point"]] = Proxy(test["entry_point"], line)
    line.wait_until_loaded()
    names["check"](names[test["entry_point"]])
    return {"outcome": "passed"}


def _run_asserts(test: dict[str, Any], line: Line) -> dict[str, Any]:
    names = TestGlobals(line)
    make_repeatable(test["source"])
    code = compile(test["source"], FILENAME, "exec", dont_inherit=True)
    names.update({name: Proxy(name, line) for name in _shadowed_builtins(code, test["source"])})
    line.wait_until_loaded()
    exec(code, names)  # noqa: S102
    return {"outcome": "passed"}


def _shadowed_builtins(code: types.CodeType, source: str) -> set[str]:
    """Built-in names that the candidate is to define anew (MBPP 126 asks for a ``sum``).

    Only where the asserts name nothing else of the candidate's, so that no candidate can put its own ``set`` or
    ``sorted`` into a test of another function.
    """
    if any(not hasattr(builtins, name) for name in code.co_names):
        return set()
    import ast  # noqa: PLC0415  # seldom needed, and dear to carry along

    tested = [node.test for node in ast.parse(source).body if isinstance(node, ast.Assert)]
    calls = [test.left if isinstance(test, ast.Compare) else test for test in tested]
    return {call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}


def _run_calls(test: dict[str, Any], line: Line) -> dict[str, Any]:
    line.wait_until_loaded()
    for number, (arguments, expected) in enumerate(values.from_wire(test["cases"]), 1):
        try:
            answer = line.call(test["entry_point"], tuple(arguments), {})
        except Exception as error:
            return _failed(error, line) | {"where": f"case {number}"}
        if not agree(answer, expected, test["tolerance"], test["tuples_are_lists"]):
            return {"outcome": "failed", "where": f"case {number}"}
    return {"outcome": "passed"}


def agree(answer: Any, expected: Any, tolerance: float | None, tuples_are_lists: bool = False) -> bool:
    """Equality of exact types, floats within an absolute and relative tolerance; nan is within none."""
    numeric = (int, float)
    if tolerance is not None and type(answer) in numeric and type(expected) in numeric:
        return math.isclose(answer, expected, rel_tol=tolerance, abs_tol=tolerance)
    sequences = (list, tuple)
    if type(answer) in sequences and type(expected) in sequences:
        same_kind = tuples_are_lists or type(answer) is type(expected)
        return (
            same_kind
            and len(answer) == len(expected)
            and all(agree(a, e, tolerance, tuples_are_lists) for a, e in zip(answer, expected, strict=True))
        )
    if isinstance(answer, dict) and isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(
            agree(answer[key], expected[key], tolerance, tuples_are_lists) for key in expected
        )
    return bool(answer == expected)


def _run_checker(test: dict[str, Any], _line: Line) -> dict[str, Any]:
    """A suite's own ``check(stdin, expected, output)`` over what the candidate printed."""
    names: dict[str, Any] = {"__name__": "checker"}
    exec(compile(test["source"], FILENAME, "exec", dont_inherit=True), names)  # noqa: S102
    accepted = names["check"](test["stdin"], test["expected"], test["output"])
    return {"outcome": "passed" if accepted is True else "failed", "where": "the checker"}


_RUNNERS = {"check": _run_check, "asserts": _run_asserts, "calls": _run_calls, "checker": _run_checker}
