"""Judge and candidate in one process, over a socket: what crosses there and back is what was sent."""

from __future__ import annotations

import socket
import threading
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from sandbox.inside.judging import line as line_module
from sandbox.inside.judging.line import Line
from sandbox.inside.judging.timed import timed_call
from sandbox.inside.protocol.sealed import LARGE
from sandbox.inside.running.served import Served
from tests.sandbox.test_values import VALUES


@contextmanager
def asking(**program: Callable[..., Any]) -> Iterator[Line]:
    """The judge's line to a program of these functions."""
    ours, theirs = socket.socketpair()
    answering = threading.Thread(target=Served(theirs.fileno()).serve, args=(dict(program),))
    with ours, theirs:
        answering.start()
        yield Line(ours.fileno())
        ours.shutdown(socket.SHUT_RDWR)
        answering.join()


@pytest.mark.medium
@given(VALUES)
def test_any_nest_of_values_comes_back_equal_and_of_equal_type(value: Any) -> None:
    with asking(echo=lambda *arguments: arguments) as line:
        (arrived,) = line.named("echo")(value)
    assert arrived == value
    assert type(arrived) is type(value)


@given(VALUES)
def test_a_container_comes_back_as_the_same_object_and_unchanged(value: Any) -> None:
    held = [value]
    with asking(echo=lambda argument: argument) as line:
        assert line.named("echo")(held) is held
    assert held == [value]
    assert held[0] is value


@pytest.mark.medium
@given(VALUES)
def test_what_is_put_into_an_argument_is_seen_there(value: Any) -> None:
    held: list[Any] = []
    with asking(put=lambda argument, item: argument.append(item)) as line:
        line.named("put")(held, value)
    assert held == [value]
    assert type(held[0]) is type(value)


def test_a_function_of_the_test_is_called_back_within_a_call() -> None:
    with asking(twice=lambda function, value: function(function(value))) as line:
        assert line.named("twice")(lambda value: [*value, len(value)], []) == [0, 1]


def test_what_is_held_on_to_changes_on_both_sides() -> None:
    shelf: list[list[int]] = []
    with asking(keep=shelf.append, total=lambda: sum(map(sum, shelf)), fill=lambda: shelf[0].append(5)) as line:
        held = [1]
        line.named("keep")(held)
        held.append(2)
        assert line.named("total")() == 3
        line.named("fill")()
        assert held == [1, 2, 5]


def test_what_nobody_holds_on_to_is_not_kept() -> None:
    with asking(last=lambda items: items[-1]) as line:
        for number in range(20):
            assert line.named("last")([[number]]) == [number]
        assert len(line.kept) == 0


def test_an_exception_of_the_test_comes_back_through_the_program_as_itself() -> None:
    error = ValueError("the test's own")

    def fail() -> None:
        raise error

    with asking(call=lambda function: function()) as line:
        with pytest.raises(ValueError, match="own") as caught:
            line.named("call")(fail)
        assert caught.value is error
        assert line.raised is None


KEPT: list[Any] = [1]


def keep(items: list[Any]) -> int:
    KEPT.append(items)
    return 3


@pytest.mark.parametrize(("was", "becomes"), [(1, True), (0.0, -0.0), (1, 1.0), (7, 2**70), ("a", None), (2**70, 2)])
def test_an_equal_value_of_another_type_or_sign_is_a_change(was: Any, becomes: Any) -> None:
    def change(items: list[Any]) -> None:
        items[0] = becomes

    items = [was]
    with asking(change=change) as line:
        line.named("change")(items)
    assert repr(items) == repr([becomes])


def test_a_list_that_comes_twice_is_one_and_two_equal_lists_are_two() -> None:
    def same(one: list[int], other: list[int]) -> bool:
        return one is other

    items = [1, 2]
    with asking(same=same) as line:
        assert line.named("same")(items, items) is True
        assert line.named("same")(items, items[:]) is False


def test_plain_lists_that_the_program_keeps_or_gives_out_stay_one_with_its_own() -> None:
    items = [1, 2]
    with asking(keep=keep, last=lambda: KEPT[-1][0], give=lambda: KEPT, length=lambda: len(KEPT)) as line:
        line.named("keep")(items)
        items[0] = 9
        assert line.named("last")() == 9
    KEPT[:] = [1]
    with asking(give=lambda: KEPT, length=lambda: len(KEPT)) as line:
        line.named("give")().append(2)
        assert line.named("length")() == 2
    KEPT[:] = [1]


def test_a_list_that_the_program_returns_and_forgets_is_the_tests_alone() -> None:
    with asking(make=lambda: [1, 2]) as line:
        made = line.named("make")()
        assert made == [1, 2]
        assert line.named("make")() is not made
        assert len(line.kept) == 0


WORDS = ("some", "more words")
PAIRS = [(number % 7, WORDS[number % 2]) for number in range(LARGE)]
"""More items than an answer may have that crosses unasked."""


@pytest.mark.parametrize("answer", [PAIRS, tuple(PAIRS), [[None] * LARGE, [True]], list(range(LARGE + 1))])
def test_a_large_answer_that_equals_what_is_expected_stays_where_it_is(answer: Any) -> None:
    with asking(f=lambda: answer) as line:
        line.answers.limit(1000)
        expected = literal_eval(repr(answer))  # in which equal words are not one object
        assert line.answer_of(line.named("f"), (), expected, 10.0) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([*PAIRS[:-1], (0, "")], PAIRS),
        (PAIRS[1:], PAIRS),
        (PAIRS, tuple(PAIRS)),
        ([1] * (LARGE + 1), [True] * (LARGE + 1)),
        ([0.5] * (LARGE + 1), [0.5] * (LARGE + 1)),
        ([bytearray(b"a")] * (LARGE + 1), [b"a"] * (LARGE + 1)),
        ([{1}] * (LARGE + 1), [{1}] * (LARGE + 1)),
        ([1] * (LARGE + 1), [1]),
        ([1] * (LARGE + 1), "1"),
        ([1] * (LARGE + 1), None),
        ([Decimal(1)] * (LARGE + 1), None),
    ],
)
def test_any_other_large_answer_crosses(answer: Any, expected: Any) -> None:
    with asking(f=lambda: answer) as line:
        came = line.answer_of(line.named("f"), (), expected, 10.0)
        assert came == answer
        assert set(map(type, came)) == set(map(type, answer))
        assert came is not expected


def test_what_a_call_does_to_a_large_argument_is_seen_though_its_answer_is_sealed() -> None:
    def put(items: list[int]) -> list[int]:
        items.sort()
        return items

    items = list(range(LARGE + 1))[::-1]
    with asking(put=put) as line:
        assert line.answer_of(line.named("put"), (items,), [], None) is items
        assert items == list(range(LARGE + 1))


def test_a_large_answer_is_sealed_only_where_it_is_to_be_compared() -> None:
    with asking(f=lambda call: call() + PAIRS, g=lambda: PAIRS) as line:
        assert line.named("g")() == PAIRS
        assert line.answer_of(line.named("f"), (lambda: PAIRS[:],), PAIRS + PAIRS, None) == PAIRS + PAIRS
        assert line.named("g")() == PAIRS


def test_a_digest_may_take_as_much_longer_as_it_takes_us(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float | None] = []

    def noted(call: Callable[[], Any], most_s: float | None) -> Any:
        allowed.append(most_s)
        return timed_call(call, most_s)

    monkeypatch.setattr(line_module, "timed_call", noted)
    with asking(f=lambda: PAIRS) as line:
        line.answer_of(line.named("f"), (), PAIRS[:], 10.0)
        line.answer_of(line.named("f"), (), PAIRS[1:], 10.0)
    assert len(allowed) == 5
    assert allowed[0] == allowed[2] == allowed[4] == 10.0
    assert all(10.0 < (limit or 0) < 20.0 for limit in (allowed[1], allowed[3]))
