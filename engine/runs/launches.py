"""The runs of one launch: what they need is asked for before the first begins, and those not begun are set down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import EnvironmentFault, UsageFault
from engine.processes.device import check_device
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe
from engine.recipe.sections import SandboxSection
from engine.runs.checks import check_needs, check_processes
from engine.runs.planning import RunLock, recipe_of
from engine.runs.progress import Listener
from engine.runs.record import RunRecord
from engine.store.reader import Reader
from engine.store.writer import Writer
from sandbox import Sandbox, SandboxUnavailable, open_sandbox


def processes_of(home: Path, runs: Sequence[str]) -> int:
    """How many processes the recipes of ``runs`` ask for.

    Raises:
        UsageFault: they do not agree.
    """
    with closing(Reader(home)) as reader:
        return check_processes([recipe_of(reader.run(run)) for run in runs])


@contextmanager
def writing(home: Path, run: str) -> Iterator[Writer]:
    """The writer of a run, which this process alone holds.

    Raises:
        RunTaken: another engine does.
    """
    with RunLock(home, run), Writer(home, run) as writer:
        yield writer


def check_run(home: Path, run: str, listener: Listener, sandboxes: Sandboxes, ranks: Ranks) -> None:
    """Ask for all that a run needs before the first of its launch begins; one that cannot have it has failed."""
    row, done = standing(home, run)
    if row["status"] == "done":
        return
    recipe = recipe_of(row)
    ((name, arm),) = recipe.arms.items()
    left = [stage for position, stage in enumerate(arm.stages) if position not in done]
    with writing(home, run) as writer:
        try:
            check_needs(recipe, left, home)
            check_device(recipe.compute.device)
            if {"eval", "rlvr"} & set(left):
                sandboxes.get(recipe)
        except (UsageFault, EnvironmentFault, SandboxUnavailable) as fault:
            RunRecord(name, home / run, writer, listener, ranks).cut_short("failed", str(fault))
            raise


def set_down(home: Path, waiting: Sequence[str], ranks: Ranks) -> None:
    """Have the store say that nobody works any more on those of a launch that were not begun."""
    for run in waiting if ranks.first else ():
        with suppress(EnvironmentFault), writing(home, run) as writer:
            if standing(home, run)[0]["status"] == "queued":
                writer.event("stopped", "not begun: its launch ended before; go on with `ra3 run --resume`", "warning")
                writer.update_run(status="stopped")


class Sandboxes:
    """One sandbox for all runs, opened at its first use."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[SandboxSection, Sandbox] = {}

    def get(self, recipe: Recipe) -> Sandbox:
        """The one that ``recipe`` asks for."""
        asked = recipe.sandbox
        if asked not in self._open:
            opened = open_sandbox(asked.backend, asked.workers, asked.packages)
            self._open[asked] = self._stack.enter_context(opened)
        return self._open[asked]


def standing(home: Path, run: str) -> tuple[dict[str, Any], set[int]]:
    """A run's row, and the positions of its stages that are done."""
    with closing(Reader(home)) as reader:
        done = {stage["position"] for stage in reader.stages(run) if stage["status"] == "done"}
        return reader.run(run), done
