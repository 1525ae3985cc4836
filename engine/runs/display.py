"""What people are shown of a run at work, in this process and through the store: its phase, and how far that is."""

from __future__ import annotations

import time

from engine.runs.progress import Listener, Progress
from engine.runs.stages.clock import Clock
from engine.store.writer import Writer

TELL_SECONDS = 1.0
"""Between two notes of progress in the store."""


class Display:
    """Shows one phase at a time."""

    def __init__(self, arm: str, writer: Writer, listener: Listener, clock: Clock) -> None:
        self._arm = arm
        self._writer = writer
        self._listener = listener
        self._clock = clock
        self._title = ""
        self._began = 0.0
        self._done_before = 0
        self._stored_at = 0.0
        self._warned_of: set[tuple[str, str]] = set()

    def phase(self, kind: str, position: int, round_: int = 0, *, title: str = "", done: int = 0) -> None:
        """A phase of the stage at ``position`` begins: a band behind the charts, a progress bar under ``title``.

        ``done`` of it was done before a resume.
        """
        self._done_before = done
        self._title = title or kind
        self._began = self._clock.now()
        self._writer.update_run(stage=self._title, step=self._writer.step, progress=0.0, eta_s=None)
        self._writer.phase(kind, position, round_)

    def tell(self, done: int, total: int, unit: str, note: str = "") -> None:
        """Show how far the phase is, to whoever watches in this process and, once a second, in the store."""
        self._listener.progress(Progress(self._writer.run, self._arm, self._title, done, total, unit, note))
        now = time.monotonic()
        if now - self._stored_at > TELL_SECONDS or done == total:
            self._stored_at = now
            self._store(done, total)

    def _store(self, done: int, total: int) -> None:
        fresh = done - self._done_before
        eta = (self._clock.now() - self._began) / fresh * (total - done) if fresh > 0 else None
        self._writer.update_run(stage=self._title, step=self._writer.step, progress=done / total, eta_s=eta)

    def warn(self, kind: str, message: str) -> None:
        """Tell a person of something that is weaker than asked, and record it."""
        self._writer.event(kind, message, level="warning")
        self._listener.event(self._writer.run, "warning", message)

    def warn_once(self, kind: str, of: str, message: str) -> None:
        """As `warn`, but only the first time that it is ``of`` this."""
        if (kind, of) not in self._warned_of:
            self._warned_of.add((kind, of))
            self.warn(kind, message)
