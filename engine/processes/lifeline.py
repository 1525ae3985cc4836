"""A connection between the first of several processes and each of the others, by which they know of each other's end.

The kernel closes it when a process dies, however it dies, so that nobody waits for the dead: a collective operation
would, for as long as its timeout. It also carries the word to stop, to processes that are deep in work of their own.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import EnvironmentFault

BYE = "bye"


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the others, as it introduced itself."""

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"rank {self.rank} (process {self.pid} on {self.host})"


class _Channel:
    """Messages, each a line of JSON, over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message; to a process that has gone it is lost."""
        try:
            with self._sending:
                self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return  # whoever reads from this socket meets its end

    def receive(self) -> list[object] | None:
        """Messages that are in, once any bytes have come (perhaps none is whole yet); None at the socket's end."""
        try:
            received = self.connection.recv(65536)
        except OSError:
            received = b""
        if not received:
            return None
        *whole, self._received = (self._received + received).split(b"\n")
        return [json.loads(message) for message in whole]

    def receive_one(self) -> object:
        """The first message; None where the socket ends before it came, or it is no JSON."""
        try:
            while (messages := self.receive()) == []:
                pass
        except ValueError:
            return None
        return messages[0] if messages else None


class Hub:
    """The first process's ends of the connections."""

    def __init__(self, host: str, token: str) -> None:
        """Listen on an address of this machine; who calls must know ``token``."""
        self._token = token
        self._listener = socket.create_server((host, 0), family=_family(host))
        self.port = int(self._listener.getsockname()[1])
        self._channels: dict[Peer, _Channel] = {}
        self._on_loss: Callable[[Peer, str | None], None]

    def accept(self, count: int, seconds: float, check: Callable[[], None]) -> None:
        """Wait for ``count`` peers; ``check`` is called now and then, to raise where waiting has become vain.

        Raises:
            EnvironmentFault: they did not all come within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        self._listener.settimeout(0.5)
        while len(self._channels) < count:
            check()
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"only {len(self._channels) + 1} of {count + 1} processes came within {seconds:.0f} s"
                )
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._admit(connection)
        self._listener.close()

    def _admit(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        channel = _Channel(connection)
        hello = channel.receive_one()
        if not isinstance(hello, dict) or hello.pop("token", None) != self._token:
            connection.close()  # not one of ours
            return
        connection.settimeout(None)
        self._channels[Peer(**hello)] = channel

    def watch(self, on_loss: Callable[[Peer, str | None], None]) -> None:
        """From now on call ``on_loss``, in a thread, with each peer that ends before its time and the fault it sent."""
        self._on_loss = on_loss
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer, channel in self._channels.items():
                selector.register(channel.connection, selectors.EVENT_READ, (peer, channel))
            while selector.get_map():
                for key, _ in selector.select():
                    peer, channel = key.data
                    messages = channel.receive()
                    if messages == []:
                        continue
                    selector.unregister(channel.connection)
                    if messages is None or BYE not in messages:
                        self._on_loss(peer, _failure_in(messages or []))

    def send_stop(self, run: str) -> None:
        """Ask all to stop the run where they are."""
        for channel in self._channels.values():
            channel.send({"stop": run})

    def close(self) -> None:
        """Tell the others that the end to come is no loss."""
        for channel in self._channels.values():
            channel.send(BYE)


class Spoke:
    """Another process's end of its connection to the first."""

    def __init__(self, host: str, port: int, token: str, rank: int, on_loss: Callable[[], None]) -> None:
        """Introduce this process, and from then on watch in a thread; ``on_loss`` when the first process dies."""
        self._channel = _Channel(socket.create_connection((host, port), timeout=60))
        self._channel.connection.settimeout(None)
        self._on_loss = on_loss
        self.to_stop: set[str] = set()
        self._channel.send({"token": token, "rank": rank, "host": os.uname().nodename, "pid": os.getpid()})
        self._watcher = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while (messages := self._channel.receive()) is not None:
            self.to_stop |= {
                str(message["stop"]) for message in messages if isinstance(message, dict) and "stop" in message
            }
            if BYE in messages:
                return
        self._on_loss()

    def send_failure(self, why: str) -> None:
        """Send what this process is about to end of."""
        self._channel.send({"failed": why})

    def close(self) -> None:
        """Tell the first process that this one has done its work."""
        self._channel.send(BYE)


def _failure_in(messages: list[object]) -> str | None:
    return next(
        (str(message["failed"]) for message in messages if isinstance(message, dict) and "failed" in message), None
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AddressFamily(socket.getaddrinfo(host, None)[0][0])
