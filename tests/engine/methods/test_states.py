"""A stage's state: what a checkpoint holds of it is read back as it was, whichever release wrote it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.methods.curriculum import Measured
from engine.methods.ntp import NTP
from engine.methods.ra3.em import RA3
from engine.methods.ra3.states import EstepState, MstepState
from engine.methods.rlvr import RLVR, RlvrState
from engine.runs import checkpoints
from engine.runs.places import Place
from engine.runs.stages.checkpointer import StageState
from engine.runs.stages.stage import Stage, TrainingState
from engine.training.trainer import TrainerState
from tests.engine.toy import toy_policy


class SavedPolicy:
    """Stands for the weights, which a state is saved beside."""

    def save(self, folder: Path) -> None:
        """Write nothing."""


TRAINER: TrainerState = {
    "adam": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 2)}}, "param_groups": [{"lr": 0.1}]},
    "updates": 3,
}
TRAINING = TrainingState(TRAINER, 3)
Q = toy_policy(seed=7).state_dict()
STATES: dict[str, tuple[Stage[Any], StageState]] = {
    "ntp": (NTP, TRAINING),
    "rlvr": (RLVR, RlvrState(TRAINING, None, {})),
    "rlvr, drawn ahead": (RLVR, RlvrState(TRAINING, None, {}, {"rows": [{"task": "a"}], "staleness": 1})),
    "rlvr, near its start": (RLVR, RlvrState(TRAINING, Q, {"a": Measured(0.25, 0), "b": Measured(1.0, 2)})),
    "estep, frozen scorer": (RA3, EstepState(1, TRAINING, Q, None)),
    "estep, running mean": (RA3, EstepState(1, TRAINING, Q, Q)),
    "mstep": (RA3, MstepState(1, TRAINING, [(4, [None, [5, 6]]), (4, [[7], None])])),
}


def same(ours: Any, theirs: Any) -> bool:
    """Equal in type and value, tensors included."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if is_dataclass(ours):
        return all(same(getattr(ours, field.name), getattr(theirs, field.name)) for field in fields(ours))
    return bool(ours == theirs)


@pytest.mark.parametrize("name", STATES)
def test_a_state_comes_back_from_a_checkpoint_as_it_was(name: str, tmp_path: Path) -> None:
    stage, state = STATES[name]
    place = Place(3, 0, stage.kind, False, "base", {})
    folder = checkpoints.save(tmp_path, SavedPolicy(), place, state.state_dict())  # type: ignore[arg-type]
    written = checkpoints.load_state(folder)
    assert written is not None
    assert stage.read is not None
    assert same(stage.read(written), state)


def test_the_keys_of_a_checkpoint_are_those_of_earlier_releases() -> None:
    assert list(TRAINING.state_dict()) == ["trainer", "update"]
    assert set(EstepState(1, TRAINING, Q, None).state_dict()) == {"phase", "round", "update", "trainer", "q", "mean"}
    assert set(MstepState(1, TRAINING, []).state_dict()) == {"phase", "round", "chosen", "trainer", "update"}


def test_a_checkpoint_of_an_earlier_release_is_read() -> None:
    assert RA3.read is not None
    assert RLVR.read is not None
    assert same(RLVR.read(TRAINING.state_dict()), RlvrState(TRAINING, None, {}))
    estep = {"phase": "estep", "round": 0, "update": 2, "trainer": TRAINER, "q": Q, "mean": None}
    assert same(RA3.read(estep), EstepState(0, TrainingState(TRAINER, 2), Q, None))
    mstep = {"phase": "mstep", "round": 1, "chosen": [(0, [None])], "trainer": TRAINER, "update": 5}
    assert same(RA3.read(mstep), MstepState(1, TrainingState(TRAINER, 5), [(0, [None])]))
