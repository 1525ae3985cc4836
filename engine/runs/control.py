"""What people ask of a run at work, answered by its engine: stop, pause, unpause, checkpoint, set.

A request is a row in the store. A stop is heeded at once, a pause and a checkpoint where the policy is that of the last
update, a changed setting behind an update alone: from there on a resumed run computes with the same settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.processes.ranks import Ranks
from engine.recipe.keys import RecipeError, value_at
from engine.recipe.recipe import Recipe
from engine.runs.knobs import Request, asked_value, check_live
from engine.runs.progress import Listener
from engine.runs.stages.clock import Clock
from engine.store.writer import Writer

POLL_SECONDS = 0.5
"""Between two looks at the requests."""

ACTIONS = ("stop", "pause", "unpause", "checkpoint", "set")


class Stopped(Exception):
    """A person asked the run to stop; it was written down and can be resumed."""


class Control:
    """The requests to one run. What was changed in an earlier session takes hold again where it did then.

    Of several ranks the first reads them, and all do what it says.
    """

    def __init__(
        self, writer: Writer, listener: Listener, interrupted: Callable[[], bool], ranks: Ranks, clock: Clock
    ) -> None:
        self._writer = writer
        self._listener = listener
        self._interrupted = interrupted
        self._ranks = ranks
        self._clock = clock
        self._ahead = ranks.from_first(writer.changes)
        self._waiting: list[Request] = []
        self._looked = -POLL_SECONDS
        self._stopping = False
        self._paused = False

    def should_stop(self) -> bool:
        """Was the run asked to end?"""
        self._look()
        self._stopping |= bool(self._take("stop")) or self._interrupted() or self._ranks.stop_asked
        if self._stopping:
            self._ranks.ask_to_stop()
        return self._stopping

    def attend(self, write_down: Callable[[bool], None]) -> None:
        """*Collective.* Do what may be done within an update too: write a checkpoint, wait while paused, or stop.

        ``write_down(asked)`` writes a checkpoint. The run's clock stands still during a pause.

        Raises:
            Stopped: somebody asked the run to end, through whichever rank.
        """
        if self._heed(write_down) and not self._ranks.any(self.should_stop()):
            write_down(False)
            self._wait(write_down)
        if self._ranks.any(self.should_stop()):
            raise Stopped

    def _wait(self, write_down: Callable[[bool], None]) -> None:
        """Until the pause is over, or the run is to end."""
        begin = time.monotonic()
        self._show("paused", f"paused; `ra3 unpause {self._writer.run}` goes on")
        while self._heed(write_down) and not self._ranks.any(self.should_stop()):
            time.sleep(POLL_SECONDS)
        self._paused = False
        self._show("running", "goes on")
        self._clock.leave_out(time.monotonic() - begin)

    def settle(self, recipe: Recipe, step: int) -> Recipe:
        """*Collective.* ``recipe`` as it holds behind update ``step``: changed as it was then, and as is asked now."""
        while self._ahead and self._ahead[0]["step"] <= step:
            recipe = self._change(recipe, self._ahead.pop(0), "again ")
        for request in self._ranks.from_first(self._settings_asked):
            try:
                check_live(recipe, request["key"])
                recipe = self._change(recipe, request, "")
            except RecipeError as fault:
                self._writer.take(request["id"])
                self._writer.event("control", f"{request['who']}: {fault}", level="warning")
                continue
            self._writer.void_changes(request["key"], step)
            self._ahead = [change for change in self._ahead if change["key"] != request["key"]]
            self._writer.take(request["id"], step)
        return recipe

    def _heed(self, write_down: Callable[[bool], None]) -> bool:
        """Write a checkpoint where it was asked for; is the run to be paused?"""
        checkpoint, pause = self._ranks.from_first(self._checkpoint_and_pause_asked)
        if checkpoint:
            write_down(True)
        return pause

    def _checkpoint_and_pause_asked(self) -> tuple[bool, bool]:
        self._look()
        checkpoint = bool(self._take("checkpoint"))
        for request in self._take("pause", "unpause"):
            self._paused = request["action"] == "pause"
        return checkpoint, self._paused

    def _settings_asked(self) -> list[Request]:
        self._look()
        settings = [request for request in self._waiting if request["action"] == "set"]
        self._waiting = [request for request in self._waiting if request not in settings]
        return settings

    def _change(self, recipe: Recipe, request: Request, again: str) -> Recipe:
        key = request["key"]
        changed = recipe.with_values({key: asked_value(request)})
        message = f"{again}{key}: {value_at(recipe, key):g} to {value_at(changed, key):g}, set by {request['who']}"
        self._writer.event("control", message)
        self._listener.event(self._writer.run, "info", message)
        return changed

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        self._waiting = self._writer.requests()
        for request in [request for request in self._waiting if request["action"] not in ACTIONS]:
            self._writer.take(request["id"])
            self._waiting.remove(request)
            self._writer.event("control", f"{request['who']} asked for {request['action']!r}: unknown", level="warning")

    def _take(self, *actions: str) -> list[Request]:
        """The waiting requests for one of ``actions``, in order; they wait no longer."""
        taken = [request for request in self._waiting if request["action"] in actions]
        self._waiting = [request for request in self._waiting if request not in taken]
        for request in taken:
            self._writer.take(request["id"])
            self._writer.event("control", f"{request['who']} asked to {request['action']}")
        return taken

    def _show(self, status: str, message: str) -> None:
        self._writer.event("control", message)
        self._writer.update_run(status=status)
        self._listener.event(self._writer.run, "info", message)
