"""How a command that is asked to end does so: by an exception, so that everything it holds is given back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Ctrl-C, or a signal that asks for the same."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """As a shell tells it: 130 for Ctrl-C."""


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """A handler for where there is nothing yet, or nothing any more, to give back."""
    os._exit(128 + number)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)


@contextmanager
def interruptible() -> Iterator[None]:
    """What asks the process to end raises `Ended` in here, but for what it was started to ignore."""
    with _handled(_raise):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whoever asks a second time waits until what is held is given back."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ASKED}
    taken = {number: was for number, was in before.items() if was is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in taken.items():
            signal.signal(number, was)
