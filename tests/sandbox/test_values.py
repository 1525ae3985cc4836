"""Tagged JSON carries values exactly, and nothing but values, whatever bytes arrive."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.inside import values

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
    ),
    max_leaves=20,
)


def crossed(value: Any) -> Any:
    return values.from_wire(values.parse(values.dumps(values.to_wire(value))))


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
        (defaultdict(list, {1: [2]}), {1: [2]}),
    ],
)
def test_a_subclass_arrives_as_its_built_in_base(value: Any, plain: Any) -> None:
    arrived = crossed(value)
    assert arrived == plain
    assert type(arrived) is type(plain)


@pytest.mark.parametrize("value", [object(), iter([]), len, ValueError(), lambda: 0, Level])
def test_an_object_without_a_form_is_untellable(value: Any) -> None:
    with pytest.raises(values.Untellable):
        values.to_wire(value)


def test_nesting_too_deep_is_untellable() -> None:
    deep: list[Any] = []
    for _ in range(values.MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(values.Untellable):
        values.to_wire(deep)


def test_an_opaque_answer_equals_nothing_and_has_no_truth() -> None:
    opaque = values.from_wire({"opaque": ["generator", 0]})
    assert opaque != opaque  # noqa: PLR0124  # that is the property
    assert opaque not in (1, [], None)
    with pytest.raises(TypeError):
        bool(opaque)


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
        {"opaque": []},
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


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*values._READ, "odd"]), inner, min_size=1, max_size=2)
    ),
    max_leaves=12,
)


@given(TREES)
def test_an_arbitrary_tree_becomes_a_value_or_is_refused(tree: Any) -> None:
    try:
        values.from_wire(tree)
    except values.WireError:
        return
