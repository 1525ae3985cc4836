"""Tagged JSON carries values exactly, and nothing but values, whatever bytes arrive."""

from __future__ import annotations

import json
import math
import random
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.inside import values
from sandbox.inside.protocol import library, reading

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=1 << 80)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
SCALARS |= (
    st.decimals(allow_nan=False)
    | st.fractions()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([Path("a/b"), PurePosixPath("/c"), range(3), slice(1, None, 2), int, KeyError, ...])
)
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(KEYS, st.integers(), max_size=4).map(Counter)
        | st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict)
        | st.dictionaries(KEYS, inner, max_size=4).map(lambda items: defaultdict(list, items))
        | st.lists(st.integers(0, 255), max_size=4).map(lambda items: array("B", items))
        | st.binary(max_size=4).map(bytearray)
    ),
    max_leaves=20,
)


def crossed(value: Any) -> Any:
    return values.from_wire(values.parse(values.dumps(values.to_wire(value))))


@pytest.mark.medium
@given(VALUES)
def test_a_value_arrives_as_it_was_sent(value: Any) -> None:
    arrived = crossed(value)
    assert arrived == value
    assert type(arrived) is type(value)


def test_infinities_and_nan_arrive() -> None:
    infinite, nan, negative_zero = crossed([math.inf, math.nan, -0.0])
    assert infinite == math.inf
    assert math.isnan(nan)
    assert math.copysign(1, negative_zero) == -1


class Level(IntEnum):
    HIGH = 3


class EqualsAll(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Level.HIGH, 3),
        (EqualsAll(5), 5),
        (namedtuple("Point", "x y")(1, 2), (1, 2)),
    ],
)
def test_a_subclass_arrives_as_its_built_in_base(value: Any, plain: Any) -> None:
    arrived = crossed(value)
    assert arrived == plain
    assert type(arrived) is type(plain)


def test_containers_keep_what_they_are_made_with() -> None:
    assert crossed(deque([1, 2], maxlen=2)).maxlen == 2
    assert crossed(defaultdict(int)).default_factory is int
    assert list(crossed(OrderedDict([(2, 1), (1, 2)]))) == [2, 1]
    assert list(crossed({"b": 1, "a": 2})) == ["b", "a"]
    assert crossed(Counter({"a": 0, "b": -1})) == {"a": 0, "b": -1}


def test_a_time_keeps_its_zone_and_fold() -> None:
    late = datetime(2024, 10, 27, 2, 30, tzinfo=UTC, fold=1)
    arrived = crossed([late, time(1, 2, fold=1), date(2024, 2, 29), timedelta(microseconds=1)])
    assert arrived[0].utcoffset() == timedelta(0)
    assert (arrived[0].fold, arrived[1].fold) == (1, 1)


def test_library_values_are_of_their_own_types() -> None:
    values_sent = [Decimal("1.10"), Fraction(1, 3), UUID(int=7), Path("a")]
    assert [str(value) for value in crossed(values_sent)] == [str(value) for value in values_sent]
    assert [type(value) for value in crossed(values_sent)] == [type(value) for value in values_sent]


def test_the_same_container_twice_is_the_same_twice() -> None:
    row = [0]
    first, second, other = crossed([row, row, [0]])
    assert first is second
    assert first is not other


def test_a_container_in_itself_arrives_in_itself() -> None:
    answer: list[Any] = [1]
    answer.append({"answer": answer})
    arrived = crossed(answer)
    assert arrived[1]["answer"] is arrived


def test_a_long_list_of_large_and_small_integers_arrives() -> None:
    numbers = [random.Random(0).getrandbits(100) * sign for sign in (1, -1)] + list(range(1000))
    assert crossed(numbers) == numbers


def test_what_a_subclass_makes_of_iteration_is_not_told() -> None:
    class Liar(list[int]):
        def __iter__(self) -> Any:
            return iter([6])

        def __len__(self) -> int:
            return 1

    assert crossed(Liar([1, 2])) == [1, 2]


@pytest.mark.parametrize("value", [object(), iter([]), len, ValueError(), lambda: 0, Level])
def test_an_object_without_a_form_is_untellable(value: Any) -> None:
    with pytest.raises(values.Untellable):
        values.to_wire(value)


@pytest.mark.parametrize("container", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}])
def test_nesting_arrives_as_deep_as_is_promised_and_deeper_is_untellable(container: Any) -> None:
    deep: Any = None
    for _ in range(values.MAX_DEPTH):
        deep = container(deep)
    arrived, depth = crossed(deep), 0
    while arrived is not None:
        arrived, depth = next(iter(arrived.values() if isinstance(arrived, dict) else arrived)), depth + 1
    assert depth == values.MAX_DEPTH
    with pytest.raises(values.Untellable):
        values.to_wire(container(container(deep)))


@pytest.mark.parametrize(
    "tree",
    [
        {"eval": "6"},
        {"tuple": [], "list": []},
        {},
        {"set": [[1]]},
        {"dict": [[1]]},
        {"dict": [[[], 1]]},
        {"int": "0xg"},
        {"int": 6},
        {"complex": ["a", 1]},
        {"bytes": "zz"},
        {"range": ["a"]},
        {"range": [1, 2, 0]},
        {"type": "module"},
        {"object": [0, 0]},
        {"yours": 0},
        {"kept": 0},
        {"same": 0},
        {"same": -1},
        [{"same": 1}],
        {"library": ["os", "_exit"]},
        {"decimal.Decimal": ["six"]},
        {"os.system": ["true"]},
        {"fractions.Fraction": [1, 0]},
        {"array": ["x", []]},
        {"ndarray": ["O", [1], "00"]},
        {"numpy": ["O", {"bytes": "0000000000000000"}]},
        {"datetime.datetime": [1, 1, 1, 0, 0, 0, 0, "../../etc/passwd", 0]},
        {"Counter": [[1, 2, 3]]},
    ],
)
def test_a_malformed_tree_is_refused(tree: Any) -> None:
    with pytest.raises(values.WireError):
        values.from_wire(tree)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_tree_or_refused(payload: bytes) -> None:
    try:
        tree = values.parse(payload)
    except values.WireError:
        return
    json.dumps(tree)


TAGS = [*reading._READ, *reading._BOXES, *(f"{module}.{name}" for module, name in library._PARTS), "odd"]
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS), inner, min_size=1, max_size=2),
    max_leaves=12,
)


@given(TREES)
def test_an_arbitrary_tree_becomes_a_value_or_is_refused(tree: Any) -> None:
    try:
        values.from_wire(tree)
    except values.WireError:
        return
