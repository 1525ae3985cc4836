"""When a checkpoint is written inside a stage, and when it is not; which are removed as unsound."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.processes.ranks import Ranks
from engine.runs.places import newest, saved
from engine.runs.stages.checkpointer import Checkpointer
from engine.runs.stages.clock import Clock
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.soundness import MAX_SKIPPED, Diverged
from engine.runs.stages.stage import TrainingState
from engine.store.null_writer import NullWriter
from engine.training.trainer import Update
from tests.engine.tiny import tiny_policy

SOUND = Update(1.0, 1.0, 0.1, {}, 0.0, 8)
SKIPPED = Update(1.0, math.nan, 0.1, {}, 0.0, 8)


class Stage:
    """A stage whose updates are given."""

    def __init__(self, folder: Path, keep: int = 0) -> None:
        self.warnings: list[str] = []
        self.writer = NullWriter("run")
        policy, ranks = tiny_policy().clone(), Ranks()
        ledger = Ledger(policy, self.writer, ranks, Clock())
        self.checkpointer = Checkpointer(
            folder, keep, policy, ledger, self.writer, ranks, lambda _, words: self.warnings.append(words)
        )
        self.checkpointer.begin(0, "ntp", "base")

    def update(self, update: Update, *, write: bool = False) -> None:
        self.writer.step += 1
        self.checkpointer.check(update)
        state = TrainingState({"adam": {}, "updates": self.writer.step}, self.writer.step)
        self.checkpointer.finished(lambda: state)
        if write:
            self.checkpointer.write()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def steps(stage: Stage) -> list[int]:
    return [place.step for _, place in saved(stage.checkpointer.folder)]


def test_before_its_first_update_there_is_nothing_to_write_and_who_asked_is_told(stage: Stage) -> None:
    stage.checkpointer.write()
    assert stage.warnings == []
    stage.checkpointer.write(asked=True)
    assert steps(stage) == []
    assert "taken no update yet" in stage.warnings[0]


def test_behind_a_skipped_update_nothing_is_written(stage: Stage) -> None:
    stage.update(SOUND, write=True)
    stage.update(SKIPPED)
    stage.checkpointer.write(asked=True)
    assert steps(stage) == [1]
    assert "was not finite" in stage.warnings[-1]


def test_a_checkpoint_is_replaced_only_when_the_newer_one_is_known_to_be_sound(stage: Stage) -> None:
    stage.update(SOUND, write=True)
    stage.update(SOUND, write=True)
    assert steps(stage) == [1, 2]
    stage.update(SOUND)
    assert steps(stage) == [2]


def test_many_skipped_in_a_row_are_divergence_and_what_gave_no_finite_gradient_is_removed(stage: Stage) -> None:
    stage.update(SOUND, write=True)
    stage.update(SOUND, write=True)
    for _ in range(MAX_SKIPPED - 1):
        stage.update(SKIPPED)
    with pytest.raises(Diverged, match="lower the learning rate"):
        stage.update(SKIPPED)
    stage.checkpointer.discard_unsound()
    assert steps(stage) == [1]


def test_a_finite_gradient_between_them_begins_the_count_anew(stage: Stage) -> None:
    for _ in range(3):
        for _ in range(MAX_SKIPPED - 1):
            stage.update(SKIPPED)
        stage.update(SOUND)


def test_the_best_checkpoint_inside_a_stage_stays_beside_the_newest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(stage.writer, "event", lambda kind, words, level="info": told.append(words))
    worth = {1: 0.2, 2: 0.5, 3: 0.5, 4: 0.1, 6: 0.7}  # of the fifth nothing is known
    stage.checkpointer.worth = worth.get
    left = []
    for _ in range(6):
        stage.update(SOUND, write=True)
        stage.checkpointer.check(SOUND)
        left.append(steps(stage))
    assert left == [[1], [2], [2, 3], [2, 4], [2, 5], [6]]
    assert [words for words in told if "best" in words] == ["000002-ntp-partial stays, as the best so far"]


def test_the_best_checkpoint_stays_beyond_the_end_of_its_stage_and_one_of_another_stage_is_no_match(
    stage: Stage,
) -> None:
    stage.checkpointer.worth = {1: 0.9, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.2, 6: 0.1}.get
    stage.update(SOUND, write=True)
    stage.update(SOUND, write=True)
    stage.update(SOUND)
    stage.checkpointer.end("ntp")
    assert steps(stage) == [1, 3]
    stage.checkpointer.begin(1, "rlvr", "ntp")
    stage.update(SOUND, write=True)
    stage.update(SOUND, write=True)
    stage.update(SOUND, write=True)
    stage.checkpointer.end("ntp+rlvr")
    assert steps(stage) == [1, 3, 4, 6]  # not the first stage's best, nor twice the last


def test_the_last_checkpoint_of_a_stage_says_what_the_policy_has_been_through(stage: Stage) -> None:
    stage.update(SOUND, write=True)
    path = stage.checkpointer.end("ntp")
    found = newest(stage.checkpointer.folder)
    assert found is not None
    assert (found[0], found[1].ended, found[1].after) == (path, True, "ntp")
    assert len(saved(stage.checkpointer.folder)) == 1
