"""The candidate's side of the conversation: its globals, its objects, and what it prints while the judge listens."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import re
import sys
from types import FunctionType
from typing import Any

from .. import frames
from ..protocol import operators
from ..protocol.exchange import Exchange
from ..protocol.own import Own
from ..protocol.sealed import SEALED, digest_of, is_large
from ..protocol.telling import Teller
from ..protocol.wire import Wire, dumps, parse

_OWN_CALLS = 6
"""Calls of ours between `Served.serve` and a function of the program."""
_USUAL_LIMIT = 1000
_ANY_LENGTH = 0xFFFFFFFF


class Gone(BaseException):
    """Nobody asks any more."""


class Served(Exchange):
    """What the judge may name: globals of the program, and objects that it holds a handle on."""

    def __init__(self, channel: int) -> None:
        super().__init__(0, Own(), operators.sent)
        self.channel = channel
        self._namespace: dict[str, Any] = {}
        self._requests = frames.FrameReader(channel, _ANY_LENGTH)
        self._printed: dict[str, Any] | None = None
        self._sealed: Any = None
        """The answer that the judge was given last, where that is a seal."""

    def serve(self, namespace: dict[str, Any]) -> None:
        """Say which functions of the program there are, and answer until the judge hangs up."""
        self._namespace = namespace
        functions = {name: self.own.number(thing) for name, thing in self._globals() if type(thing) is FunctionType}
        self.send(dumps({"ready": functions}))
        with contextlib.suppress(Gone):
            while True:
                self.send(self.answer(self.receive()))

    def _globals(self) -> list[tuple[str, Any]]:
        return [(name, thing) for name, thing in self._namespace.items() if type(name) is str]

    def send(self, message: bytes) -> None:
        """Write one message, and first what was printed."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        frames.write_frame(self.channel, message)

    def receive(self) -> dict[str, Any]:
        """The next message; raises Gone at their end."""
        payload = self._requests.read()
        if payload is None:
            raise Gone
        message: dict[str, Any] = parse(payload)
        return message

    def perform(self, request: dict[str, Any], arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """An operation on one of our objects, or a global by its name or by an expression."""
        if "streams" in request:
            return self._with_streams(request, arguments, keywords)
        if request["do"] == "global":
            return self._global(arguments[0])
        if request["do"] == "digest":
            return digest_of(self._sealed)
        sealed, self._sealed = self._sealed, None
        if request["do"] == "unseal":
            return sealed
        answer = super().perform(request, arguments, keywords)
        if "seal" in request and is_large(answer):
            self._sealed = answer
            return SEALED
        return answer

    def tell_other(self, thing: Any, teller: Teller, inside: int) -> Wire:
        """As `Exchange.tell_other`; a seal stands for itself."""
        return {"sealed": 0} if thing is SEALED else super().tell_other(thing, teller, inside)

    def _global(self, name: str) -> Any:
        """A global, or what an expression makes of one; a built-in of that name is not the program's."""
        first = re.split(r"\W", name, maxsplit=1)[0]
        if first not in self._namespace:
            raise NameError(f"name {first!r} is not defined", name=first)
        return self._namespace[name] if name == first else eval(name, self._namespace)  # the words of the test

    def _with_streams(self, request: dict[str, Any], arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """With the streams and built-in functions that the test has put in place of the usual ones."""
        streams = request.pop("streams")
        patched = {name[1:]: keywords.pop(name) for name in list(keywords) if name.startswith("=")}
        usual = {name: getattr(sys, name) for name in streams}
        usual_builtins = {name: getattr(builtins, name) for name in patched}
        ours = {name: io.StringIO(text) for name, text in streams.items()}
        try:
            _set(sys, ours)
            _set(builtins, patched)
            return self.perform(request, arguments, keywords)
        finally:
            _set(sys, usual)
            _set(builtins, usual_builtins)
            self._printed = {name: ours[name].getvalue() for name in ours if name != "stdin"}
            if "stdin" in ours:
                self._printed["stdin"] = ours["stdin"].tell()

    def more_to_tell(self) -> dict[str, Any]:
        """What was printed into the test's streams."""
        printed, self._printed = self._printed, None
        return {} if printed is None else {"printed": printed}

    def from_library(self, module: str, name: str) -> Any:
        """Our own function or class of the standard library, where the test's has no other form."""
        thing: Any = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
        return thing


def _set(where: Any, things: dict[str, Any]) -> None:
    for name, thing in things.items():
        setattr(where, name, thing)


def make_room() -> None:
    """Let the program recurse as deep as it could if the calls of ours were not below it."""
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(_USUAL_LIMIT + depth + _OWN_CALLS)
