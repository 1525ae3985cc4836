"""The judge's side of the conversation with a candidate, and what was heard last of it."""

from __future__ import annotations

import builtins
import sys
import time
import types
from typing import Any

from . import frames
from .protocol.exchange import Exchange
from .protocol.mirror_types import is_mirror
from .protocol.own import Own
from .protocol.telling import Teller
from .protocol.wire import Untellable, Wire, WireError, parse
from .stand_ins import Operators

MOST_NESTED = 100
"""Requests that may stand within each other: each calls back into the judge, which asks again."""
_STREAMS = ("stdout", "stderr", "stdin")
_PATCHABLE = ("input", "print", "open")
_BY_NAME = (type, types.FunctionType, types.BuiltinFunctionType)
_CLOSED = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.GeneratorType, types.CoroutineType),
    *(types.AsyncGeneratorType, types.FrameType, types.CodeType, types.TracebackType, types.ModuleType),
)
"""Types whose attributes lead into the test's source and globals."""
_NEVER = (types.FrameType, types.CodeType)
_NAMES = ("__name__", "__qualname__", "__doc__")
_STEPS = ("send", "throw", "close")


class CandidateGone(BaseException):
    """No further answer will come; no test may catch it as an Exception."""


class Line(Exchange):
    """The channel to the candidate."""

    def __init__(self, channel: int, answer_limit: int = frames.ANSWER_LIMIT) -> None:
        super().__init__(1, Own(keep_exceptions=True), self._operators)
        self._channel = channel
        self._reader = frames.FrameReader(channel, answer_limit)
        self._usual = [getattr(sys, name) for name in _STREAMS], [getattr(builtins, name) for name in _PATCHABLE]
        self._nested = 0
        self._looks_up = False
        self.functions: dict[str, Any] | None = None
        """The program's functions by name, once it is loaded."""
        self.ending: dict[str, Any] | None = None
        """Why no further answer comes: its key is ``gone``, ``exit``, ``syntax``, ``raised`` or ``forged``."""
        self.raised: BaseException | None = None
        """The exception that the last operation ended in."""
        self.lacking: set[str] = set()
        """Names that the test uses and the program does not define."""
        self.modules: list[Any] = []
        """Modules that the test came by through the program."""
        self.forged = False
        self.asked = 0
        self.waited_s = 0.0
        """Wall seconds for which the last message was waited for."""

    def _operators(self, ask: Any) -> Any:
        self.stand_ins = Operators(ask, self.note_raised)
        return self.stand_ins.of

    def wait_until_loaded(self) -> dict[str, Any]:
        """The functions of the program, once it is loaded; raises CandidateGone where it does not come so far."""
        if self.functions is None:
            message = self.receive()
            if "ready" not in message:
                raise self._end(self._known(message))
            functions = message["ready"] if isinstance(message["ready"], dict) else {}
            self.functions = {name: self.mirrors.of_function(number) for name, number in functions.items()}
        return self.functions

    def named(self, name: str) -> Any:
        """A global of the program, or what an expression makes of one; raises NameError where it has none."""
        function = self.wait_until_loaded().get(name)
        if function is not None:
            self.asked += 1
            return function
        try:
            thing = self.request({"do": "global", "on": 0}, (name,), None)
        except NameError:
            self.lacking.add(name)
            raise
        if isinstance(thing, types.ModuleType):
            self.modules.append(thing)
        return thing

    def request(self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
        """As `Exchange.request`; raises CandidateGone where no answer comes, or one without sense."""
        self.wait_until_loaded()
        if self.ending is not None:
            raise CandidateGone
        if self._nested >= MOST_NESTED:
            raise RecursionError("the test and the program call each other too deep")
        self.asked += 1
        self._nested += 1
        self._looks_up = message["do"] == "__getattribute__"
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
        usual_streams, usual_functions = self._usual
        now = [sys.stdout, sys.stderr, sys.stdin], [builtins.input, builtins.print, builtins.open]
        if now == self._usual:
            return message, arguments, keywords
        streams = {name: "" for name, old, new in zip(_STREAMS, usual_streams, now[0], strict=True) if new is not old}
        if "stdin" in streams:
            streams["stdin"] = _rest_of(sys.stdin)
        patched = {
            f"={name}": new
            for name, old, new in zip(_PATCHABLE, usual_functions, now[1], strict=True)
            if new is not old
        }
        return message | {"streams": streams}, arguments, (keywords or {}) | patched

    def _outcome(self, answer: dict[str, Any], boxes: list[Any]) -> Any:
        printed = answer.get("printed")
        if isinstance(printed, dict):
            self._print(printed)
        return super()._outcome(answer, boxes)

    def _print(self, printed: dict[str, Any]) -> None:
        """What the candidate printed, into the test's own streams."""
        for name in ("stdout", "stderr"):
            if type(printed.get(name)) is str:
                getattr(sys, name).write(printed[name])
        if type(printed.get("stdin")) is int:
            sys.stdin.read(max(0, printed["stdin"]))

    def note_raised(self, error: BaseException) -> None:
        """Remember it, so that it is known for the program's where the test does not catch it.

        An attribute that is not there is the test's to stumble over, as it is with any other value.
        """
        self.raised = None if isinstance(error, AttributeError) and self._looks_up else error

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
            payload = self._reader.read()
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
        return {"forged": True} if self.forged else message

    def _end(self, ending: dict[str, Any]) -> CandidateGone:
        self.ending = ending
        return CandidateGone()

    def perform(self, request: dict[str, Any], arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """An operation on something of the test's, for the candidate, which may not look into the test by it."""
        thing, name = self.thing(request["on"]), request["do"]
        if name in ("__getattribute__", "__setattr__", "__delattr__"):
            _refuse_what_leads_into_the_test(thing, name, arguments)
        elif name in ("__copy__", "__deepcopy__", "is a", "is under", "next few"):
            raise TypeError(f"the program may not ask {name} of the test's objects")
        return super().perform(request, arguments, keywords)

    def tell_other(self, thing: Any, teller: Teller, inside: int) -> Wire:
        """As `Exchange.tell_other`; what is of the standard library goes by its name."""
        if is_mirror(thing):
            return super().tell_other(thing, teller, inside)
        if isinstance(thing, types.TracebackType):
            return None  # as the last argument of `__exit__`, where hardly anybody looks at it
        if isinstance(thing, _NEVER):
            raise Untellable(f"a value of type {type(thing).__name__} has no form that crosses")
        if isinstance(thing, _BY_NAME):
            module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
            if module in sys.stdlib_module_names and getattr(sys.modules.get(module), name, None) is thing:
                return {"library": [module, name]}
        return super().tell_other(thing, teller, inside)


def _refuse_what_leads_into_the_test(thing: Any, name: str, arguments: list[Any]) -> None:
    attribute = arguments[0]
    if type(attribute) is not str:
        raise TypeError("an attribute's name is text")
    allowed = name == "__getattribute__" and attribute in _NAMES
    if isinstance(thing, _CLOSED):
        allowed = allowed or (attribute in _STEPS and isinstance(thing, types.GeneratorType | types.CoroutineType))
    else:
        allowed = allowed or not attribute.startswith("_")
    if not allowed:
        raise AttributeError(f"{type(thing).__name__!r} object has no attribute {attribute!r}", name=attribute)


def _rest_of(stream: Any) -> str:
    """What the test put there to be read, and what is left of it."""
    try:
        place = stream.tell()
        text = stream.read()
        stream.seek(place)
    except Exception:  # any object of the test's may stand here
        return ""
    return text if isinstance(text, str) else ""
