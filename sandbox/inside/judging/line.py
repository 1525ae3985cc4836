"""The judge's side of the conversation with a candidate, and what was heard last of it."""

from __future__ import annotations

import builtins
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import frames
from ..protocol import operators
from ..protocol.exchange import Exchange
from ..protocol.mirror_types import is_mirror
from ..protocol.own import Own
from ..protocol.reading import Reader
from ..protocol.sealed import SEALED, digest_to_meet
from ..protocol.telling import Teller
from ..protocol.wire import Untellable, Wire, WireError, parse
from .offered import TEST_MODULE, refuse_what_is_not_offered, shown
from .stand_ins import Operators
from .timed import timed_call

MOST_NESTED = 100
"""Requests that may stand within each other: each calls back into the judge, which asks again."""
_STREAMS = ("stdout", "stderr", "stdin")
_PATCHABLE = ("input", "print", "open")
_BY_NAME = (
    *(type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    types.ClassMethodDescriptorType,
)
_NEVER = (types.FrameType, types.CodeType)
_OF_ENDING = frozenset(("syntax", "raised", "text", "exit"))
_MOST_WORDS = 500
_OF_REQUEST = frozenset(("do", "on", "arguments", "keywords", "changed", "forget"))


class CandidateGone(BaseException):
    """No further answer will come; no test may catch it as an Exception."""


class Line(Exchange):
    """The channel to the candidate."""

    def __init__(self, channel: int) -> None:
        super().__init__(1, Own(keep_exceptions=True), self._operators)
        self._channel = channel
        self.answers = frames.FrameReader(channel)
        self._usual: tuple[list[Any], list[Any]] | None = None
        self._nested = 0
        self._sealing = False
        """Whether the answer to the next call may be sealed."""
        self._raised_there: list[BaseException] = []
        """Of the program's own exceptions those by which a test fails, or would be broken, if they were the test's."""
        self._let_through: list[BaseException] = []
        """The test's own exceptions that came to it through the program, which may have led to them."""
        self._swallowed: list[tuple[BaseException, int]] = []
        """Failed assertions of the test that the candidate was told of, with how many requests stood within each other
        then, and that have not come back from the innermost of these."""
        self.functions: dict[str, Any] | None = None
        """The program's functions by name, once it is loaded."""
        self.ending: dict[str, Any] | None = None
        """Why no further answer comes: its key is ``gone``, ``exit``, ``syntax``, ``raised`` or ``forged``."""
        self.raised: BaseException | None = None
        """The exception that the last operation ended in."""
        self.lacking: set[str] = set()
        """Names that the test uses and the program does not define."""
        self.modules: list[Any] = []
        """Modules that the test names and does not import: the program does."""
        self.forged = False
        self.asked = 0
        self.waited_s = 0.0
        """Wall seconds for which the last message was waited for."""

    def _operators(self, ask: Any) -> Any:
        self.stand_ins = Operators(ask, self.note_raised, self._failed_here)
        return self.stand_ins.of

    def begin(self) -> None:
        """Before a test runs: what the streams and built-in functions are that it may replace.

        Not noted any sooner: who holds on to a stream keeps the interpreter of a whole program, forked from here, from
        flushing it at its end.
        """
        self._usual = _replaceable()

    @property
    def unheeded(self) -> list[BaseException]:
        """What ends a test, and was caught before it came to the test's end."""
        undecided = self.stand_ins.undecided
        return [*(error for error, _ in self._swallowed), *([] if undecided is None else [undecided])]

    def wait_until_loaded(self) -> dict[str, Any]:
        """The functions of the program, once it is loaded; raises CandidateGone where it does not come so far."""
        if self.functions is None:
            message = self.receive()
            if "ready" not in message:
                raise self._end(self._known(message))
            functions = message["ready"]
            if type(functions) is not dict or not all(type(n) is int and n > 0 for n in functions.values()):
                raise self._end({"forged": True})
            self.functions = {name: self.mirrors.of_function(number) for name, number in functions.items()}
        return self.functions

    def named(self, name: str) -> Any:
        """A global of the program, or what an expression makes of one; raises NameError where it has none."""
        function = self.wait_until_loaded().get(name)
        if function is not None:
            self.asked += 1
            return function
        try:
            return self.request({"do": "global", "on": 0}, (name,), None)
        except NameError:
            self.lacking.add(name)
            raise

    def answer_of(self, function: Callable[..., Any], arguments: Any, expected: Any, most_s: float | None) -> Any:
        """The function's answer, to be compared with ``expected``: that itself where the answer is large and equals it.

        Raises what the function raises, and TooSlow where it takes over ``most_s``. To make a digest of the answer may
        take as much longer as it takes us of ours.
        """
        self._sealing = True
        try:
            answer = timed_call(partial(function, *arguments), most_s)
        finally:
            self._sealing = False
        if answer is not SEALED:
            return answer
        began = time.process_time()
        digest = digest_to_meet(expected)
        ours_s = time.process_time() - began
        if digest is not None and digest == self._of_sealed("digest", most_s and most_s + ours_s):
            return expected
        return self._of_sealed("unseal", most_s)

    def _of_sealed(self, operation: str, most_s: float | None) -> Any:
        return timed_call(lambda: self.request({"do": operation, "on": 0}, (), None), most_s)

    def request(self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
        """As `Exchange.request`; raises CandidateGone where no answer comes, or one without sense."""
        self.wait_until_loaded()
        if self.ending is not None:
            raise CandidateGone
        if self._nested >= MOST_NESTED:
            raise RecursionError("the test and the program call each other too deep")
        if self._sealing and message["do"] == "__call__":
            message["seal"], self._sealing = 1, False
        self.asked += 1
        self._nested += 1
        try:
            return super().request(*self._with_streams(message, arguments, keywords))
        except WireError:
            self.forged = True
            raise self._end({"forged": True}) from None
        except Untellable as error:
            raise Untellable(f"request {self.asked} of the test: {error}") from None
        finally:
            self._nested -= 1

    def _with_streams(
        self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None
    ) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any] | None]:
        """With word of the streams and built-in functions that the test has replaced by its own."""
        now = _replaceable()
        if self._usual is None or now == self._usual:
            return message, arguments, keywords
        usual_streams, usual_functions = self._usual
        streams = {name: "" for name, old, new in zip(_STREAMS, usual_streams, now[0], strict=True) if new is not old}
        if "stdin" in streams:
            streams["stdin"] = _rest_of(sys.stdin)
        patched = {
            f"={name}": new
            for name, old, new in zip(_PATCHABLE, usual_functions, now[1], strict=True)
            if new is not old
        }
        return message | {"streams": streams}, arguments, (keywords or {}) | patched

    def _outcome(self, answer: dict[str, Any], boxes: list[Any], operation: str) -> Any:
        printed = answer.get("printed")
        if isinstance(printed, dict):
            self._print(printed)
        return super()._outcome(answer, boxes, operation)

    def _print(self, printed: dict[str, Any]) -> None:
        """What the candidate printed, into the test's own streams."""
        for name in ("stdout", "stderr"):
            if type(printed.get(name)) is str:
                getattr(sys, name).write(printed[name])
        if type(printed.get("stdin")) is int:
            sys.stdin.read(max(0, printed["stdin"]))

    def note_raised(self, error: BaseException, operation: str) -> None:
        """Remember it, so that it is known for the program's where the test does not catch it.

        An attribute that is not there is the test's to stumble over, as it is with any other value.
        """
        self.raised = None if isinstance(error, AttributeError) and operation == "__getattribute__" else error
        if is_assertion(error) or isinstance(error, ImportError | SystemExit):
            self._raised_there.append(error)

    def note_returned(self, error: BaseException) -> None:
        """An exception of the test's own comes back to it through the program."""
        self._let_through.append(error)
        self._swallowed = [each for each in self._swallowed if each[0] is not error or each[1] != self._nested]

    def is_theirs(self, error: BaseException) -> bool:
        """Whether the program raised it."""
        return error is self.raised or _is_among(error, self._raised_there)

    def came_through(self, error: BaseException) -> bool:
        """Whether it is the test's, and came to it through the program."""
        return _is_among(error, self._let_through)

    def send(self, message: bytes) -> None:
        """Write one message; raises CandidateGone where nobody reads."""
        try:
            frames.write_frame(self._channel, message)
        except OSError:
            raise self._end({"gone": True}) from None

    def receive(self) -> dict[str, Any]:
        """The next message; raises CandidateGone at the end of the channel or where there is no sense in it."""
        began = time.monotonic()
        try:
            payload = self.answers.read()
            if payload is not None:
                message = parse(payload)
                if isinstance(message, dict) and self._is_known(message):
                    return message
            self.forged = self.forged or payload is not None
        except (frames.FrameError, WireError):
            self.forged = True
        except OSError:
            pass  # reset: the candidate was killed with our request unread
        finally:
            self.waited_s = time.monotonic() - began
        raise self._end({"forged": True} if self.forged else {"gone": True})

    def _is_known(self, message: dict[str, Any]) -> bool:
        return self.functions is None or not message.keys().isdisjoint(("value", "raised", "do"))

    def _known(self, message: dict[str, Any]) -> dict[str, Any]:
        self.forged = not message.keys() & {"syntax", "raised", "exit"}
        if self.forged:
            return {"forged": True}
        return {name: _words(message[name]) for name in _OF_ENDING & message.keys()}

    def _end(self, ending: dict[str, Any]) -> CandidateGone:
        self.ending = ending
        return CandidateGone()

    def answer(self, request: dict[str, Any]) -> bytes:
        """As `Exchange.answer`, of a request that is as a request has to be; raises WireError for any other."""
        number = request.get("on")
        if not request.keys() <= _OF_REQUEST or type(request["do"]) is not str or type(number) is not int or number < 0:
            raise WireError("an operation on an object by its number is wanted")
        return super().answer(request)

    def perform(self, request: dict[str, Any], arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """An operation on something of the test's that the candidate was told of, where it is offered."""
        thing = self.own[request["on"]]
        refuse_what_is_not_offered(thing, request["do"], arguments, keywords)
        try:
            if request["do"] == "__getattribute__":
                return shown(thing, arguments[0])
            return operators.perform(thing, request["do"], arguments, keywords)
        except BaseException as error:
            if self._failed_here(error):
                self._swallowed.append((error, self._nested))
            raise

    def _failed_here(self, error: Any) -> bool:
        """Whether it is a failed assertion of the test, and none of the program's."""
        return is_assertion(error) and not _is_among(error, self._raised_there)

    def ask(
        self, thing: Any, name: str, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        """As `Exchange.ask`, of what is for the candidate to say."""
        return self.stand_ins.follow(super().ask, thing, name, arguments, keywords)

    def tell_other(self, thing: Any, teller: Teller, inside: int) -> Wire:
        """As `Exchange.tell_other`; what is of the standard library goes by its name."""
        if is_mirror(thing):
            return super().tell_other(thing, teller, inside)
        if isinstance(thing, types.TracebackType):
            return None  # as the last argument of `__exit__`, where hardly anybody looks at it
        if isinstance(thing, _NEVER) or _is_of_a_package(thing):
            raise Untellable(f"a value of type {type(thing).__name__} has no form that crosses")
        if isinstance(thing, _BY_NAME):
            module, name = _place_of(thing)
            if module in sys.stdlib_module_names and _at(sys.modules.get(module), name) is thing:
                return {"library": [module, name]}
        return super().tell_other(thing, teller, inside)

    def _read_other(self, reader: Reader, tag: str, inside: Wire) -> Any:
        return SEALED if tag == "sealed" else super()._read_other(reader, tag, inside)


def _replaceable() -> tuple[list[Any], list[Any]]:
    """The streams and the built-in functions that tests replace."""
    return [sys.stdout, sys.stderr, sys.stdin], [builtins.input, builtins.print, builtins.open]


def is_assertion(error: object) -> bool:
    """Whether it says that a test does not hold."""
    return isinstance(error, (AssertionError, getattr(sys.modules.get("_pytest.outcomes"), "Failed", AssertionError)))


def _is_among(error: object, errors: list[BaseException]) -> bool:
    return any(error is each for each in errors)


def _is_of_a_package(thing: Any) -> bool:
    """Whether it is an object of a third-party package's class, of which a program could use nothing (a data frame)."""
    package = type(thing).__module__.partition(".")[0]
    return (
        package not in sys.stdlib_module_names
        and package != TEST_MODULE
        and not isinstance(thing, BaseException | type)
    )


def _words(told: Any) -> str:
    """As much of a candidate's last words as is passed on."""
    return told[:_MOST_WORDS] if type(told) is str else ""


def _place_of(thing: Any) -> tuple[str, str]:
    """The module and the name within it that a class or a function says it has."""
    owner = getattr(thing, "__objclass__", thing)
    return getattr(owner, "__module__", None) or "", getattr(thing, "__qualname__", "")


def _at(place: Any, name: str) -> Any:
    for part in name.split("."):
        place = getattr(place, part, None)
    return place


def _rest_of(stream: Any) -> str:
    """What the test put there to be read, and what is left of it."""
    try:
        place = stream.tell()
        text = stream.read()
        stream.seek(place)
    except Exception:  # any object of the test's may stand here
        return ""
    return text if isinstance(text, str) else ""
