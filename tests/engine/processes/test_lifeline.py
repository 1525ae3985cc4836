"""Lines between processes: an end is noticed unless it was said to come, and a stop is heard."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator

import pytest

from engine.errors import EnvironmentFault
from engine.processes.lifeline import Hub, Peer, Spoke

LOOPBACK = "127.0.0.1"


class Pair:
    """Both ends of a line, and what either hears of the other's end."""

    def __init__(self) -> None:
        self.lost: queue.Queue[tuple[Peer, str | None]] = queue.Queue()
        self.first_lost = threading.Event()
        self.hub = Hub(LOOPBACK, "secret")
        self.spoke = Spoke(LOOPBACK, self.hub.port, "secret", 1, self.first_lost.set)
        self.hub.accept(1, 30, lambda: None)
        self.hub.watch(lambda peer, why: self.lost.put((peer, why)))

    def drop_spoke(self) -> None:
        """As the kernel does for a process that dies."""
        self.spoke._channel.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.drop_spoke()


def test_the_end_of_a_process_is_noticed(pair: Pair) -> None:
    pair.drop_spoke()
    peer, why = pair.lost.get(timeout=30)
    assert (peer.rank, why) == (1, None)


def test_last_words_are_told(pair: Pair) -> None:
    pair.spoke.send_failure("ValueError: no")
    peer, why = pair.lost.get(timeout=30)
    assert (peer.rank, why) == (1, "ValueError: no")


def test_one_who_takes_leave_is_not_missed(pair: Pair) -> None:
    pair.spoke.close()
    pair.drop_spoke()
    with pytest.raises(queue.Empty):
        pair.lost.get(timeout=0.3)


def test_the_end_of_the_first_is_noticed(pair: Pair) -> None:
    for channel in pair.hub._channels.values():
        channel.connection.shutdown(socket.SHUT_RDWR)
    assert pair.first_lost.wait(30)


def test_a_stop_is_heard(pair: Pair) -> None:
    heard = pair.spoke
    pair.hub.send_stop("run1")
    pair.hub.close()  # the words before it have been heard when the line has ended
    heard._watcher.join(30)
    assert heard.to_stop == {"run1"}
    assert not pair.first_lost.is_set()


def test_a_stranger_is_not_let_in() -> None:
    hub = Hub(LOOPBACK, "secret")
    stranger = Spoke(LOOPBACK, hub.port, "guess", 1, lambda: None)
    with pytest.raises(EnvironmentFault, match="only 1 of 2"):
        hub.accept(1, 0.1, lambda: None)
    assert not stranger.to_stop
