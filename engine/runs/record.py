"""How a run began and how it ended, as the store and whoever listens are told."""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EnvironmentFault
from engine.processes.ranks import RankLost, Ranks
from engine.recipe.recipe import Recipe
from engine.runs.progress import Listener
from engine.store.connection import StoreError
from engine.store.writer import Writer

_LEVELS = {"done": "info", "stopped": "warning"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    run: str
    arm: str
    status: str
    """``done``, ``failed`` or ``stopped``."""
    error: str | None = None


class RunRecord:
    """Writes down the beginning and the end of one run of one arm."""

    def __init__(self, arm: str, folder: Path, writer: Writer, listener: Listener, ranks: Ranks) -> None:
        self._run = writer.run
        self._arm = arm
        self._folder = folder
        self._writer = writer
        self._listener = listener
        self._ranks = ranks

    def begun(self, row: dict[str, Any], recipe: Recipe, device: str) -> None:
        """The run whose ``row`` the store has begins, or goes on from the writer's step."""
        self._writer.update_run(
            status="running",
            device=device,
            host=os.uname().nodename,
            pid=os.getpid(),
            started=row["started"] or time.time(),
            heartbeat=time.time(),
            ended=None,
            error=None,
        )
        parent = f" from {row['parent']}@{row['parent_step']}" if row["parent"] else ""
        resumed = row["started"] is not None
        what = f"resumed at step {self._writer.step}" if resumed else f"started{parent}"
        stages = " > ".join(recipe.arms[self._arm].stages)
        together = f", {self._ranks.size} processes" if self._ranks.size > 1 else ""
        self._writer.event("started", f"{what}: {stages}, seed {recipe.seed}{together}")

    def ended(self, status: str, error: str | None = None) -> Outcome:
        """The run ended by itself, or as it was asked to: whoever listens is told too."""
        self._listener.event(self._run, _LEVELS.get(status, "error"), f"{self._arm}: {error or status}")
        self.cut_short(status, error)
        return Outcome(self._run, self._arm, status, error)

    def cut_short(self, status: str, error: str | None) -> None:
        """The run ended, by what is raised: whoever catches that tells of it."""
        try:
            self._writer.event(status, error or status, _LEVELS.get(status, "error"))
            shown = error if status == "failed" else None
            self._writer.update_run(status=status, ended=time.time(), error=shown, eta_s=None)
        except StoreError as fault:  # a full disk: readers will see that the process is gone
            self._listener.event(self._run, "error", str(fault))

    def rank_lost(self, why: str) -> None:
        """The run ends as one of its other processes has."""
        self.cut_short("failed", self._lost_words(why))

    def _lost_words(self, why: str) -> str:
        return f"{why}; the last checkpoint holds: go on with `ra3 run --resume {self._run}`"

    def failed(self, error: Exception) -> Outcome:
        """The run ended by a bug, while ``error`` was handled: the whole story is in its log, and others may go on.

        Raises:
            RankLost: several processes work on it. None can tell where the others are, so that all end with it.
        """
        log = self._folder / "log"
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        why = f"{type(error).__name__}: {error} (the traceback is in {log})"
        if self._ranks.size == 1:
            return self.ended("failed", why)
        lost = self._ranks.loss(error)
        why = self._lost_words(lost) if lost else why
        self.cut_short("failed", why)
        raise RankLost(why) from error

    def fault(self, error: OSError) -> EnvironmentFault:
        """The run ended by what the system refused: the fault to raise, which says where."""
        fault = EnvironmentFault(f"{error.filename or self._folder}: {error.strerror}; mend it, then resume the run")
        self.cut_short("failed", str(fault))
        return fault
