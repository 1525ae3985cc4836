"""Signals that ask a process to stop: heeded where the run stands still, the second one at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopFlag:
    """Raised by SIGINT and SIGTERM; a second signal interrupts at once."""

    def __init__(self) -> None:
        self.raised = False

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Catch the signals inside."""
        before = {number: signal.signal(number, self._raise) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _raise(self, _: int, __: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
