"""What every stage works with: it holds the run's pieces, each with a name and a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator

from engine.model.policy import Policy
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Optimiser
from engine.runs.control import Control
from engine.runs.corpus import TracePairs
from engine.runs.display import Display
from engine.runs.stages.checkpointer import Checkpointer, StageState
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.seeds import Seeds
from engine.store.writer import Writer
from engine.suites.problem import Suite
from engine.training.epochs import measure_steps
from engine.training.memory import MemoryGuard
from engine.training.trainer import Trainer, Update
from sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Resources:
    """What sampling and scoring are done with, whatever they are done for."""

    ranks: Ranks
    """The processes that share the work out."""
    memory: MemoryGuard
    ledger: Ledger
    should_stop: Callable[[], bool]
    """Was the run asked to end? To be asked often while samples are drawn."""
    attend: Callable[[], None]
    """*Collective.* As `Context.attend`."""


@dataclass
class Context:
    """One run at work, in one of its stages."""

    recipe: Recipe
    """As it holds now: live knobs change between two updates."""
    policy: Policy
    accelerator: Accelerator
    ranks: Ranks
    """The processes that share the run; stages share their work out over them."""
    memory: MemoryGuard
    ledger: Ledger
    control: Control
    checkpointer: Checkpointer
    display: Display
    writer: Writer
    traces: TracePairs
    """Traces to train on."""
    held_out: TracePairs
    suites: Mapping[str, Suite]
    """Those to sample from, by their specs: as they were when the run was begun or gone on with."""
    sandbox: Callable[[], Sandbox]
    """Opens the sandbox at its first use."""
    position: int
    """Of the present stage in its arm."""
    after: str
    """Training stages the policy has been through, such as ``ra3+rlvr``."""

    @property
    def step(self) -> int:
        """Updates this run has taken."""
        return self.writer.step

    @property
    def seeds(self) -> Seeds:
        """Those of the present stage."""
        return Seeds(self.recipe.seed, self.position)

    @property
    def resources(self) -> Resources:
        """What sampling and scoring need of the context."""
        return Resources(self.ranks, self.memory, self.ledger, self.control.should_stop, self.attend)

    def begin_stage(self, position: int, kind: str, costs: dict[str, Any] | None) -> None:
        """*Collective.* The stage at ``position`` begins, or goes on with the ``costs`` it had at its checkpoint.

        Raises:
            Stopped: somebody asked the run to end.
        """
        self.position = position
        self.ledger.begin(costs)
        self.checkpointer.begin(position, kind, self.after)
        self.settle()

    def trainer(self, policy: Policy, optimiser: Optimiser) -> Trainer:
        """What updates ``policy`` in this run."""
        return Trainer(policy, optimiser, self.memory, self.accelerator, self.ranks)

    def attend(self) -> None:
        """*Collective.* Do what people asked for: write a checkpoint, wait while paused, or leave the stage.

        May be called where the policy is that of the last update; what was done since then is redone on resume.

        Raises:
            Stopped: somebody asked the run to end, through whichever rank.
        """
        self.control.attend(self.checkpointer.write)

    def settle(self) -> None:
        """*Collective.* Attend, and take up the settings that people changed: to be called between two updates."""
        self.attend()
        self.recipe = self.control.settle(self.recipe, self.step)

    def finish_update(
        self, steps: Sequence[Update], metrics: dict[str, float], state: Callable[[], StageState]
    ) -> None:
        """*Collective.* Count an update, record its metrics, write a checkpoint when one is due, and stop if asked.

        ``steps`` are the optimiser steps it took, several where it went over its rollouts more than once; none where
        there was nothing to learn from. ``state`` gives the stage's, as it is behind it.

        Raises:
            Stopped: somebody asked the run to end.
            Diverged: the gradient was not finite several times in a row.
        """
        self.writer.step += 1
        for step in steps:
            self.ledger.costs.tokens_trained += step.tokens
            self.ledger.costs.optimiser_steps += not step.skipped
            self.checkpointer.check(step)
        if steps:
            metrics = measure_steps(steps) | metrics
        self.writer.metrics(metrics | self.ledger.settled().metrics())
        self.ledger.keep()
        self.checkpointer.finished(state)
        self.settle()
        if self.step % self.recipe.checkpoints.every == 0:
            self.checkpointer.write()
