"""Whatever bytes a candidate sends, the judge says what became of it, and never that it passed by chance."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.inside import frames, values
from sandbox.inside.judging import judge
from sandbox.inside.judging.line import Line
from sandbox.inside.protocol import mirrors, reading

UNGUESSABLE = "what nobody can guess"
TASK = {"test": {"kind": "asserts", "source": f"assert double(2) == {UNGUESSABLE!r}", "setup": ""}}
READY = values.dumps({"ready": {"double": 1}})


def judged(sent: bytes) -> dict[str, Any]:
    """The judge's note on a candidate that sends these bytes and is gone."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        return judge.run(TASK, Line(ours.fileno()))


def framed(*payloads: bytes) -> bytes:
    return b"".join(frames.HEADER.pack(len(payload)) + payload for payload in payloads)


def test_the_right_answer_passes() -> None:
    assert judged(framed(READY, values.dumps({"value": UNGUESSABLE})))["outcome"] == "passed"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_do_not_pass(sent: bytes) -> None:
    assert judged(sent)["outcome"] != "passed"


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_arbitrary_payloads_do_not_pass(payloads: list[bytes]) -> None:
    assert judged(framed(READY, *payloads))["outcome"] != "passed"


WORDS = "ready value raised text exit syntax outcome forged do on arguments keywords after kept changed forget printed"
KEYS = st.sampled_from(WORDS.split())
TAGS = st.sampled_from(
    [*mirrors._READ, *reading._READ, *reading._BOXES, "yours", "kept", "library", "your member", "your tuple"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["ValueError", "SystemExit"])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TAGS, inner, min_size=1, max_size=1)
)
MESSAGES = st.dictionaries(KEYS, TREES, max_size=4)


@pytest.mark.medium
@given(st.lists(MESSAGES, max_size=4))
def test_arbitrary_messages_do_not_pass(messages: list[dict[str, Any]]) -> None:
    assert judged(framed(READY, *map(values.dumps, messages)))["outcome"] != "passed"


@pytest.mark.medium
@given(st.lists(MESSAGES, max_size=3))
def test_an_honest_candidate_passes_after_any_messages_of_another(messages: list[dict[str, Any]]) -> None:
    judged(framed(READY, *map(values.dumps, messages)))
    assert judged(framed(READY, values.dumps({"value": UNGUESSABLE})))["outcome"] == "passed"


@pytest.mark.medium
@given(st.lists(MESSAGES, max_size=4))
def test_no_message_makes_the_test_or_the_sandbox_the_one_at_fault(messages: list[dict[str, Any]]) -> None:
    assert judged(framed(READY, *map(values.dumps, messages)))["outcome"] in ("failed", "raised", "ended")


@pytest.mark.parametrize("payload", [b"[]", b"6", b"null", b'"passed"', b'{"outcome": "passed"}', b"\xff"])
def test_a_message_without_sense_is_told_as_forged(payload: bytes) -> None:
    assert judged(framed(READY, payload))["forged"]


def test_a_frame_over_the_limit_is_not_read() -> None:
    note = judged(framed(READY) + frames.HEADER.pack(frames.ANSWER_LIMIT + 1))
    assert note["forged"]


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_frames_are_the_same_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream, buffer, out = framed(*payloads), frames.FrameBuffer(), []
    while stream:
        size = cuts[len(stream) % len(cuts)]
        buffer.feed(stream[:size])
        stream = stream[size:]
        while (payload := buffer.pop()) is not None:
            out.append(payload)
    assert out == payloads


def test_a_stream_that_ends_within_a_frame_has_no_frame_more() -> None:
    read, write = os.pipe()
    os.write(write, frames.HEADER.pack(10) + b"half")
    os.close(write)
    assert frames.read_frame(read, 100) is None
    os.close(read)
