"""When a stage is written down: behind its updates, where somebody asks for it, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from engine.model.policy import Policy
from engine.processes.ranks import Ranks
from engine.runs import checkpoints
from engine.runs.checkpoints import StateDict
from engine.runs.places import Place
from engine.runs.stages.costs import Costs
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.soundness import Soundness
from engine.store.writer import Writer
from engine.training.trainer import Update


class StageState(Protocol):
    """What a stage needs, beside the policy's weights, to go on behind one of its updates."""

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it: tensors and plain values."""


@dataclass
class Checkpointer:
    """Writes the checkpoints of one stage at a time. What it does, all ranks do together."""

    folder: Path
    """Of the run's checkpoints."""
    keep: int
    """Checkpoints inside a stage that stay beside the newest."""
    policy: Policy
    ledger: Ledger
    writer: Writer
    ranks: Ranks
    warn: Callable[[str, str], None]
    """Tells a person: kind of event, words."""
    worth: Callable[[int], float | None] | None = None
    """Of a checkpoint at a step, by which the best one inside a stage stays; None where none does."""
    _position: int = field(default=0, init=False)
    _kind: str = field(default="", init=False)
    _after: str = field(default="", init=False)
    _state: Callable[[], StageState] | None = field(default=None, init=False)
    _soundness: Soundness = field(init=False)
    _best: Path | None = field(default=None, init=False)
    _unproven: bool = field(default=False, init=False)
    """Has no update yet shown that the weights of the newest checkpoint are sound?"""

    def __post_init__(self) -> None:
        self._soundness = Soundness(self.writer.run)

    def begin(self, position: int, kind: str, after: str) -> None:
        """A stage begins, or goes on: there is nothing to write before its first update.

        ``after`` are the training stages before it, such as ``ra3+rlvr``.
        """
        self._position, self._kind, self._after = position, kind, after
        self._state = None
        self._soundness = Soundness(self.writer.run)
        self._unproven = False

    def check(self, update: Update) -> None:
        """Note whether the gradient of ``update``, the writer's step, was finite.

        Where it was, the checkpoints are removed that newer ones replace, which are now known to be sound.

        Raises:
            Diverged: it was not, several times in a row.
        """
        step = self.writer.step
        if update.skipped:
            self.warn("skipped", f"step {step}: the gradient was not finite; the weights were left as they were")
        self._soundness.count(step, skipped=update.skipped)
        if not update.skipped and self._unproven:
            self._prune()
            self._unproven = False

    def finished(self, state: Callable[[], StageState]) -> None:
        """An update has ended. ``state`` is called where a checkpoint of it is written."""
        self._state = state

    def write(self, asked: bool = False) -> None:
        """Write a checkpoint of the last finished update; where there is none to write, a person who asked is told."""
        if self._state is not None and not self._soundness.skipped:
            with self.ledger.clock("save"):
                self._save(self._state().state_dict(), self.ledger.kept, asked=asked)
            self._unproven = True
        elif asked:
            why = (
                "its last gradient was not finite" if self._soundness.skipped else "this stage has taken no update yet"
            )
            self.warn("checkpoint", f"no checkpoint was written: {why}; the one before holds")

    def end(self, after: str) -> Path:
        """Write the checkpoint that ends the stage; returns its folder. ``after`` now names the stage too."""
        self._after = after
        path = self._save(None, self.ledger.costs)
        self._prune()
        return path

    def discard_unsound(self) -> None:
        """Remove what was written behind the last finite gradient: those weights gave none since."""
        step = self._soundness.step
        if step is None:
            return
        names = self.ranks.from_first(lambda: checkpoints.discard_from(self.folder, self._position, step))
        for name in names:
            self.writer.event("checkpoint", f"{name} removed: its weights gave no finite gradient", level="warning")

    def _save(self, state: StateDict | None, costs: Costs, *, asked: bool = False) -> Path:
        self.writer.stage(self._position, self._kind, **self.ledger.settled().columns(), status="running")
        place = Place(self.writer.step, self._position, self._kind, state is None, self._after, asdict(costs))
        path = self.ranks.from_first(lambda: checkpoints.save(self.folder, self.policy, place, state, asked=asked))
        self.writer.event("checkpoint", path.name)
        self.writer.update_run(step=self.writer.step)  # what is shown is never behind what can be gone on from
        return path

    def _prune(self) -> None:
        best = self.ranks.from_first(lambda: checkpoints.prune(self.folder, self._position, self.keep, self.worth))
        if best is not None and best != self._best:
            self.writer.event("checkpoint", f"{best.name} stays, as the best so far")
        self._best = best
