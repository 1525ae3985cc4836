"""Many at once, or one alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Lets any number pass together, and now and then one that needs the place for itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._waiting_for_all = 0
        self._taken = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Pass beside others; one that waits to be alone goes first."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and self._waiting_for_all == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Pass when all others are out, and let none in meanwhile."""
        with self._changed:
            self._waiting_for_all += 1
            self._changed.wait_for(lambda: not self._taken and self._inside == 0)
            self._waiting_for_all -= 1
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
