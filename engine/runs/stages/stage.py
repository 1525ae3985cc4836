"""A stage: what is run, and the state that a checkpoint inside it holds beside the policy's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from engine.recipe.sections import StageKind
from engine.runs.checkpoints import StateDict
from engine.runs.stages.checkpointer import StageState
from engine.runs.stages.context import Context
from engine.training.trainer import Trainer, TrainerState

StateT = TypeVar("StateT", bound=StageState | None)


@dataclass(frozen=True, slots=True)
class Stage(Generic[StateT]):
    """One kind of stage."""

    kind: StageKind
    run: Callable[[Context, StateT | None], None]
    """Begins it, or goes on with it from the state that a checkpoint inside it holds."""
    read: Callable[[StateDict], StateT] | None = None
    """The state of which this is the ``state_dict``; None where a stage begins anew when it was interrupted."""

    def begin(self, context: Context, written: StateDict | None) -> None:
        """Run it, from what lies in a checkpoint inside it if there is one."""
        self.run(context, self.read(written) if self.read and written else None)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a loop of updates stands."""

    trainer: TrainerState
    update: int
    """Updates it has taken."""

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it."""
        return {"trainer": self.trainer, "update": self.update}

    def restore(self, trainer: Trainer) -> int:
        """Put ``trainer`` there; returns the updates taken."""
        trainer.load_state_dict(self.trainer)
        return self.update

    @classmethod
    def read(cls, written: StateDict) -> Self:
        """From its `state_dict`, or from that of a stage which holds more."""
        return cls(written["trainer"], written["update"])
