"""One side of the conversation between judge and candidate: asks, answers what is asked meanwhile, and keeps in step.

A request is ``{"do": operation, "on": number, "arguments": [...], "keywords": [...]}``, its answer ``{"value": ...}``
or ``{"raised": ...}``. With the answer comes what the operation did to the boxes among its arguments (``after``), which
of them, and of the answer's own, the answering side holds on to (``kept``), and, both ways, what has become of those
that are kept (``changed``).
"""

from __future__ import annotations

import enum
import sys
from _thread import RLock
from collections.abc import Callable
from functools import partial
from typing import Any

from . import operators
from .kept import Kept
from .mirrors import Mirrors
from .own import Own
from .reading import Reader, read_safely
from .reading import no_value as read_no_value
from .telling import Teller, is_plain, plain_boxes, plain_contents
from .wire import Wire, WireError, alike, deeply, dumps, in_room

Operators = Callable[[Callable[..., Any]], Callable[[str], Callable[..., Any]]]
"""Given what sends an operation, what makes the operator of a name for the classes of stand-ins."""
_CALLS = 100
"""More than the calls of ours that a request and the answering of another within it take: between a request and its
answer the interpreter may not run out of recursion, or the answer would be taken for that of another request."""
_WHILE_ASKED = 4
"""References to a box, or to an outcome, that nothing else holds on to, while it is asked how many there are."""


class Exchange:
    """What one side knows of the other."""

    def __init__(self, first: int, own: Own, operators_here: Operators) -> None:
        self.own = own
        self._one_at_a_time = RLock()  # of the threads that a test or a program starts
        self.mirrors = Mirrors(self.ask, operators_here(self.ask))
        self.kept = Kept(first, self.tell_other, self._read_other)

    def send(self, message: bytes) -> None:
        """Write one message."""
        raise NotImplementedError

    def receive(self) -> dict[str, Any]:
        """The next message; does not return where none comes."""
        raise NotImplementedError

    def ask(
        self, thing: Any, name: str, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        """One operation on an object of the other side: its value, or what it raised is raised."""
        on: Wire = self.mirrors.number_of(thing)
        if on is None:
            on = self.mirrors.without_number(thing, self._teller([]))
        if on is None:
            raise TypeError(f"a copy of an object of the program cannot be asked for {name}")
        return self.request({"do": name, "on": on}, arguments, keywords)

    def request(self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
        """Send one request and wait for its answer, doing meanwhile what the other side asks."""
        with self._one_at_a_time:
            return in_room(partial(self._request, message, arguments, keywords), _CALLS)

    def _request(self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
        if len(self.kept):
            message |= {"changed": self.kept.changes(), "forget": self.kept.forget_unused()}
        boxes = None if keywords or len(self.kept) else plain_boxes(arguments)
        if boxes is not None:
            payload = dumps(message | {"arguments": arguments} if arguments else message)
        else:
            payload, boxes = self._compose(lambda: self._tell_request(message, arguments, keywords))
        self.send(payload)
        self.kept.settle()
        answer = self.receive()
        while "do" in answer:
            self.send(self.answer(answer))
            answer = self.receive()
        if len(answer) == 1 and is_plain(answer.get("value", answer)):
            return answer["value"]
        return self._outcome(answer, boxes, message["do"])

    def _compose(self, tell: Callable[[], tuple[Wire, list[Any]]]) -> tuple[bytes, list[Any]]:
        """The bytes of a message and its boxes; of one that cannot be told whole, no class is taken for told."""
        classes = self.own.described()

        def tell_anew() -> tuple[Wire, list[Any]]:
            self.own.forget_described(classes)
            return tell()

        try:
            tree, boxes = deeply(tell_anew)
            return dumps(tree), boxes
        except BaseException:
            self.own.forget_described(classes)
            raise

    def _tell_request(
        self, message: dict[str, Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None
    ) -> tuple[Wire, list[Any]]:
        teller = self._teller([])
        if arguments:
            message["arguments"] = teller.items(arguments, -1, 0)
        if keywords:
            message["keywords"] = teller.pairs(keywords.items(), -1, 0)
        return message, teller.boxes

    def _outcome(self, answer: dict[str, Any], boxes: list[Any], operation: str) -> Any:
        came = len(boxes)
        reader = Reader(self._read_other, boxes)

        def read() -> Any:
            del boxes[came:]
            if "value" in answer:
                return reader.read(answer["value"])
            return reader.read({"exception": answer["raised"]} if type(answer["raised"]) is list else answer["raised"])

        def read_boxes() -> None:
            for number, content in answer.get("after", ()):
                reader.refill(boxes[number], content)
            for number, kept in answer.get("kept", ()):
                self.kept.add(kept, boxes[number])
            self.kept.settle()

        self._keep_up(answer)
        outcome = read_safely(lambda: deeply(read))
        if len(answer) > 1:
            read_safely(lambda: deeply(read_boxes))
        if "value" in answer:
            return outcome
        if not isinstance(outcome, BaseException):
            raise WireError("an exception is wanted")
        if type(answer["raised"]) is list:  # and so none of our own that came back
            self.note_raised(outcome, operation)
        else:
            self.note_returned(outcome)
        raise outcome

    def note_raised(self, error: BaseException, operation: str) -> None:
        """Told of what an operation raised on the other side, before it is raised here."""

    def note_returned(self, error: BaseException) -> None:
        """Told of an exception of this side that comes back to it."""

    def _keep_up(self, message: dict[str, Any]) -> None:
        """With what the other side has changed, and no longer has."""
        if "changed" in message:
            read_safely(lambda: self.kept.apply(message["changed"]))
        if "forget" in message:
            read_safely(lambda: self.kept.forget(message["forget"]))

    def answer(self, request: dict[str, Any]) -> bytes:
        """Do what is asked, and tell its outcome."""
        self._keep_up(request)
        self.kept.settle()
        arguments, keywords, boxes = self._read_arguments(request)
        work = _Work(arguments, keywords, boxes, self._contents(boxes))
        try:
            work.outcome = [self.perform(request, arguments, keywords)]
        except BaseException as error:
            work.fail(error)
        work.more = self.more_to_tell()
        if len(self.kept):
            work.changed = self.kept.changes()
        try:
            payload = self._told(work)
        except BaseException as error:  # a value that acts when it is told, has no form, or takes too much memory
            work.fail(error)
            payload = self._told(work)
        self.kept.settle()
        return payload

    def _told(self, work: _Work) -> bytes:
        if not work.more and not len(self.kept) and work.came_to_a_plain_value():
            return dumps({"value": work.outcome[0]})
        payload, _ = self._compose(lambda: self._tell_answer(work))
        return payload

    def _read_arguments(self, request: dict[str, Any]) -> tuple[list[Any], dict[str, Any], list[Any]]:
        """Arguments, keywords, and the boxes among them."""
        trees = request.get("arguments", [])
        boxes = None if "keywords" in request or type(trees) is not list else plain_boxes(trees)
        if boxes is not None:
            return trees, {}, boxes
        reader = Reader(self._read_other)

        def read() -> tuple[list[Any], dict[str, Any]]:
            reader.boxes.clear()
            return reader.items(trees), dict(reader.pairs(request.get("keywords", [])))

        return *read_safely(partial(deeply, read)), reader.boxes

    def more_to_tell(self) -> dict[str, Any]:
        """What else an answer is to say."""
        return {}

    def perform(self, request: dict[str, Any], arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """The operation itself."""
        return operators.perform(self.thing(request["on"]), request["do"], arguments, keywords)

    def thing(self, on: Wire) -> Any:
        """What is to be operated on: one of ours by its number, or a value of a class of ours."""
        return self.own[on] if type(on) is int else read_safely(lambda: Reader(self._read_other).read(on))

    def _contents(self, boxes: list[Any]) -> list[Wire]:
        """What is in the boxes, to be compared with what is in them later."""
        plain = plain_contents(boxes)
        if plain is not None:
            return plain
        return deeply(lambda: self._contents_by(Teller(self.tell_other, boxes, self.kept.numbers, briefly=True)))

    def _contents_by(self, teller: Teller) -> list[Wire]:
        return [teller.content(number, box) for number, box in enumerate(teller.boxes[:])]

    def _tell_answer(self, work: _Work) -> tuple[Wire, list[Any]]:
        teller = self._teller(work.boxes)
        message: dict[str, Any] = {"changed": work.changed} if work.changed else {}
        message |= work.more
        if work.raised:
            message["raised"] = self._tell_raised(teller, work.outcome[0])
        else:
            message["value"] = teller.tell(work.outcome[0])
        if work.boxes:
            after = self._tell_boxes(teller, work)
            if after:
                message["after"] = after
            teller.briefly = True  # what follows is only counted, and so no class is told of with it
            teller.items(work.arguments, -1, 0)
            teller.items(work.keywords.values(), -1, 0)
        if teller.boxes:
            kept = self._held_on_to(teller, len(work.boxes))
            if kept:
                message["kept"] = kept
        return message, teller.boxes

    def _tell_boxes(self, teller: Teller, work: _Work) -> list[Wire]:
        """What is in those of the boxes that came whose content has changed; all are looked at for what uses them."""
        plain = plain_contents(work.boxes)
        if plain is not None and alike(work.before, plain):
            return []
        seen = Teller(self.tell_other, work.boxes, self.kept.numbers, briefly=True)
        changed = [n for n, now in enumerate(self._contents_by(seen)) if not alike(work.before[n], now)]
        for number in range(len(work.boxes)):
            teller.uses[number] += 0 if changed else seen.uses[number]
            if teller.within[number] < 0:
                teller.within[number] = seen.within[number]
        after = [[number, teller.content(number, teller.boxes[number])] for number in changed]
        if changed:
            teller.briefly = True
            for number in set(range(len(work.boxes))) - set(changed):
                teller.content(number, teller.boxes[number])
        return after

    def _tell_raised(self, teller: Teller, error: BaseException) -> Wire:
        told = teller.tell(error)
        return told.get("exception", told)

    def _held_on_to(self, teller: Teller, came: int) -> list[list[int]]:
        """Numbers of the boxes to which something refers beside what was told, and of those within them."""
        held = [
            sys.getrefcount(teller.boxes[number]) > 2 + (number < came) + teller.uses[number]
            for number in range(len(teller.boxes))
        ]
        if not any(held):
            return []
        for number in range(len(held)):
            outer, steps = teller.within[number], 0
            while outer >= 0 and not held[number] and steps < len(held):
                held[number] = held[outer]
                outer, steps = teller.within[outer], steps + 1
        return [[number, self.kept.keep(teller.boxes[number])] for number in range(len(held)) if held[number]]

    def _teller(self, boxes: list[Any]) -> Teller:
        return Teller(self.tell_other, boxes, self.kept.numbers)

    def tell_other(self, thing: Any, teller: Teller, inside: int) -> Wire:
        """What crosses of what is no value: an object of the other side by its number there, one of ours by its own."""
        number = self.mirrors.number_of(thing)
        if number is not None:
            return {"yours": number}
        mine = self.mirrors.without_number(thing, teller)
        return self.own.tell(thing, teller, inside) if mine is None else mine

    def _read_other(self, reader: Reader, tag: str, inside: Wire) -> Any:
        match tag:
            case "yours":
                return self.own[inside]
            case "kept":
                return self.kept[inside]
            case "library":
                return self.from_library(*inside)
            case "your member":
                number, value = inside
                kind = self.own[number]
                return (
                    kind(reader.read(value)) if isinstance(kind, enum.EnumType) else read_no_value(reader, tag, inside)
                )
            case "your tuple":
                kind, items = inside
                return tuple.__new__(self.own[kind], reader.items(items))
        return self.mirrors.read(reader, tag, inside)

    def from_library(self, module: str, name: str) -> Any:
        """A function or class of the standard library by its name."""
        raise WireError(f"no word of {module}.{name} is taken from there")


class _Work:
    """One request being answered: what came with it, and what became of it."""

    __slots__ = ("arguments", "before", "boxes", "changed", "keywords", "more", "outcome", "raised")

    def __init__(self, arguments: list[Any], keywords: dict[str, Any], boxes: list[Any], before: list[Wire]) -> None:
        self.arguments, self.keywords, self.boxes, self.before = arguments, keywords, boxes, before
        self.outcome: list[Any] = []
        """The value, or what was raised, in a list: one reference that can be counted."""
        self.raised = False
        self.changed: list[Any] = []
        self.more: dict[str, Any] = {}

    def came_to_a_plain_value(self) -> bool:
        """Whether all there is to tell is a plain value: no box has changed, and nothing holds on to one."""
        (outcome,) = self.outcome
        if self.raised or not is_plain(outcome):
            return False
        contents = plain_contents(self.boxes)
        return contents is not None and alike(self.before, contents) and not self._holds_on_to(outcome)

    def _holds_on_to(self, outcome: Any) -> bool:
        """Whether anything but this work, and the caller's name for the outcome, refers to one of the boxes."""
        if any(sys.getrefcount(box) > _WHILE_ASKED for box in self.boxes):
            return True
        return type(outcome) is list and sys.getrefcount(outcome) > _WHILE_ASKED

    def fail(self, error: BaseException) -> None:
        """It ended in an exception, which is told without the frames that it holds."""
        error.__traceback__ = None
        self.outcome, self.raised = [error], True
