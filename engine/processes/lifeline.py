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


class _Line:
    """Words, each a line of JSON, over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""
        self._sending = threading.Lock()

    def say(self, word: object) -> None:
        """Send a word; one who has gone need not hear it."""
        try:
            with self._sending:
                self.connection.sendall(json.dumps(word).encode() + b"\n")
        except OSError:
            return  # its reader learns of the end by the end of the line

    def hear(self) -> list[object] | None:
        """What has come since, at least once there is something; None at the end of the line."""
        try:
            some = self.connection.recv(65536)
        except OSError:
            some = b""
        if not some:
            return None
        *whole, self._received = (self._received + some).split(b"\n")
        return [json.loads(word) for word in whole]

    def hear_one(self) -> object:
        """The first word; None where the line ends before it came, or it is none."""
        try:
            while (words := self.hear()) == []:
                pass
        except ValueError:
            return None
        return words[0] if words else None


class Hub:
    """The first process's ends of the lines."""

    def __init__(self, host: str, token: str) -> None:
        """Listen on an address of this machine; who calls must know ``token``."""
        self._token = token
        self._listener = socket.create_server((host, 0), family=_family(host))
        self.port = int(self._listener.getsockname()[1])
        self._lines: dict[Peer, _Line] = {}
        self._on_loss: Callable[[Peer, str | None], None]

    def accept(self, count: int, seconds: float, check: Callable[[], None]) -> None:
        """Wait for ``count`` peers; ``check`` is called now and then, to raise where waiting has become vain.

        Raises:
            EnvironmentFault: they did not all come within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        self._listener.settimeout(0.5)
        while len(self._lines) < count:
            check()
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"only {len(self._lines) + 1} of {count + 1} processes came within {seconds:.0f} s"
                )
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._admit(connection)
        self._listener.close()

    def _admit(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        line = _Line(connection)
        hello = line.hear_one()
        if not isinstance(hello, dict) or hello.pop("token", None) != self._token:
            connection.close()  # not one of ours
            return
        connection.settimeout(None)
        self._lines[Peer(**hello)] = line

    def watch(self, on_loss: Callable[[Peer, str | None], None]) -> None:
        """From now on call ``on_loss``, in a thread, with each peer that ends before its time and its last words."""
        self._on_loss = on_loss
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer, line in self._lines.items():
                selector.register(line.connection, selectors.EVENT_READ, (peer, line))
            while selector.get_map():
                for key, _ in selector.select():
                    peer, line = key.data
                    words = line.hear()
                    if words == []:
                        continue
                    selector.unregister(line.connection)
                    if words is None or BYE not in words:
                        self._on_loss(peer, _last_words(words or []))

    def say_stop(self, run: str) -> None:
        """Ask all to stop the run where they are."""
        for line in self._lines.values():
            line.say({"stop": run})

    def close(self) -> None:
        """Let the others go in peace."""
        for line in self._lines.values():
            line.say(BYE)


class Spoke:
    """Another process's end of its line to the first."""

    def __init__(self, host: str, port: int, token: str, rank: int, on_loss: Callable[[], None]) -> None:
        """Introduce this process, and from then on watch in a thread; ``on_loss`` when the first process dies."""
        self._line = _Line(socket.create_connection((host, port), timeout=60))
        self._line.connection.settimeout(None)
        self._on_loss = on_loss
        self.to_stop: set[str] = set()
        self._line.say({"token": token, "rank": rank, "host": os.uname().nodename, "pid": os.getpid()})
        self._watcher = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while (words := self._line.hear()) is not None:
            self.to_stop |= {str(word["stop"]) for word in words if isinstance(word, dict) and "stop" in word}
            if BYE in words:
                return
        self._on_loss()

    def say_failed(self, why: str) -> None:
        """Last words."""
        self._line.say({"failed": why})

    def close(self) -> None:
        """This process has done its work."""
        self._line.say(BYE)


def _last_words(words: list[object]) -> str | None:
    return next((str(word["failed"]) for word in words if isinstance(word, dict) and "failed" in word), None)


def _family(host: str) -> socket.AddressFamily:
    return socket.AddressFamily(socket.getaddrinfo(host, None)[0][0])
