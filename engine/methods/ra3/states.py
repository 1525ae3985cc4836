"""Where the stage ``ra3`` stands at a checkpoint: in the E-step or the M-step of a round."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.runs.checkpoints import StateDict
from engine.runs.stages.stage import TrainingState

Chosen = list[tuple[int, list[list[int] | None]]]
"""Annotated traces for the M-step: index of the trace, its comments; a trace may come several times."""

Weights = dict[str, Tensor]
"""The ``state_dict`` of a policy."""


@dataclass(frozen=True, slots=True)
class EstepState:
    """Behind an update of q."""

    round: int
    training: TrainingState
    q: Weights
    mean: Weights | None
    """The running mean of q; None where the scorer is frozen."""

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it."""
        place = {"phase": "estep", "round": self.round}
        return {**place, **self.training.state_dict(), "q": self.q, "mean": self.mean}


@dataclass(frozen=True, slots=True)
class MstepState:
    """Behind an update of the policy."""

    round: int
    training: TrainingState
    chosen: Chosen
    """What it imitates in this round."""

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it."""
        return {"phase": "mstep", "round": self.round, "chosen": self.chosen, **self.training.state_dict()}


EmState = EstepState | MstepState


def read(written: StateDict) -> EmState:
    """The state of which ``written`` is the ``state_dict``."""
    training = TrainingState.read(written)
    if written["phase"] == "estep":
        return EstepState(written["round"], training, written["q"], written["mean"])
    return MstepState(written["round"], training, written["chosen"])
