"""Engines that a test can kill: processes of their own, forked from one that has imported torch already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from engine.model.policy import load_policy
from engine.pipeline import execute, main
from engine.recipe.recipe import Recipe
from engine.runs import control
from engine.runs.places import newest
from engine.runs.planning import plan
from engine.runs.progress import Listener, Progress, Silent
from engine.store.reader import Reader
from engine.store.requests import request

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.engine.preloaded"])


def start(recipe: Recipe, home: Path) -> str:
    """Plan the only arm of ``recipe``; the run's id."""
    return plan(recipe, home).runs[0].id


def begin(home: Path, run: str, listener: Listener | None = None) -> ForkServerProcess:
    """An engine at work on ``run``."""
    process = FORKS.Process(target=execute, args=(home, [run], listener or Silent()))
    process.start()
    return process


def command(home: Path, run: str) -> ForkServerProcess:
    """What ``python -m engine.pipeline`` does for ``run``."""
    process = FORKS.Process(target=_called_with, args=("--home", str(home), run))
    process.start()
    return process


def _called_with(*words: str) -> None:
    sys.argv[1:] = words
    main()


def finish(home: Path, run: str, listener: Listener | None = None) -> None:
    """Run, or go on with, ``run`` to its end, in this process: nothing that one which was killed held is in it."""
    (outcome,) = execute(home, [run], listener or Silent())
    assert outcome.status == status(home, run) == "done", outcome.error


def status(home: Path, run: str) -> str:
    """As readers see it."""
    reader = Reader(home)
    found = str(reader.run(run)["status"])
    reader.close()
    return found


@dataclass
class Script(Silent):
    """Asks for things, and is killed, after named updates: ``{("ntp", 2): ("set", "ra3.penalty", 0.1)}``.

    The key is the beginning of the phase's title and the updates that the phase had taken.
    """

    home: Path
    run: str
    requests: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    kill: tuple[str, int] | None = None
    unit: str = "updates"
    """What the second of ``kill`` counts."""

    def progress(self, progress: Progress) -> None:
        """Do what is written for this moment."""
        control.POLL_SECONDS = 0.0  # so that what is asked after one update is taken after the next
        for (phase, done), (action, *knob) in self.requests.items():
            if progress.phase.startswith(phase) and (progress.done, progress.unit) == (done, "updates"):
                request(self.home, self.run, action, "somebody", *knob)
        if self.kill and progress.phase.startswith(self.kill[0]):
            self._die_at(progress.done, progress.unit)

    def event(self, run: str, level: str, message: str) -> None:
        """The first comes when the run has opened its model, before its first stage."""
        if self.kill == ("open", 0):
            self._die_at(0, self.unit)

    def _die_at(self, done: int, unit: str) -> None:
        if self.kill and (done, unit) == (self.kill[1], self.unit):
            os.kill(os.getpid(), signal.SIGKILL)


def records(home: Path, run: str) -> dict[str, Any]:
    """Everything a run recorded that does not tell the time."""
    reader = Reader(home)
    timed = {"id", "run", "at", "cpu_s", "wall_s", "peak_mb", "started", "ended", "seconds", "work", "checkpoint"}
    timed |= {"trace_id"}
    measured = ("seconds/", "memory/")

    def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in timed} for row in rows]

    traces = reader.traces(run, limit=10_000)
    keys = [row["key"] for row in reader.rows("SELECT DISTINCT key FROM metrics WHERE run = ?", [run])]
    found = {
        "metrics": {key: reader.series(run, key) for key in keys if not key.startswith(measured)},
        "latest": {key: value for key, value in reader.latest(run).items() if not key.startswith(measured)},
        "traces": told(traces),
        "lines": [told(reader.trace_lines(trace["id"])) for trace in traces],
        "samples": told(reader.samples(run, limit=10_000)),
        "evals": told(reader.evals(run)),
        "stages": told(reader.stages(run)),
        "phases": told(reader.phases(run)),
    }
    reader.close()
    return found


def fingerprint(home: Path, run: str) -> str:
    """Of the weights at the run's newest checkpoint."""
    found = newest(home / run / "checkpoints")
    assert found is not None
    return load_policy(str(found[0])).fingerprint()
