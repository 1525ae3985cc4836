"""What every stage works with: the policy, the data, the clock, and one place where an update ends."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from engine.corpora.traces import Trace
from engine.model.encoding import EncodedTrace
from engine.model.policy import Policy
from engine.model.tries import Trie
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute, Optimiser
from engine.runs.control import Control
from engine.runs.costs import Costs, Meter, forget_peak, peak_mb
from engine.runs.progress import Listener, Progress
from engine.store.writer import Writer
from engine.training.memory import Squeeze, narrower, within_memory
from engine.training.scoring import score
from engine.training.trainer import Clip, Trainer, Update
from sandbox import Sandbox

MAX_SKIPPED = 5
"""Updates in a row whose gradient was not finite before the run gives up."""

TELL_SECONDS = 1.0
"""Between two notes of progress in the store."""

ResultT = TypeVar("ResultT")
State = dict[str, Any]
"""What a stage needs, beside the policy's weights, to go on where it was; made of tensors and plain values."""


class Stopped(Exception):
    """A person asked the run to stop; it was written down and can be resumed."""


class Diverged(RuntimeError):
    """The gradient was not finite several times in a row."""


@dataclass
class Context:
    """One run at work. Stages read its fields and call ``phase``, ``clock``, ``finish_update`` and ``attend``."""

    run: str
    recipe: Recipe
    """As it holds now: live knobs change between two updates."""
    policy: Policy
    accelerator: Accelerator
    ranks: Ranks
    """The processes that share the run; stages share their work out over them."""
    traces: list[tuple[Trace, EncodedTrace]]
    """Traces to train on."""
    held_out: list[tuple[Trace, EncodedTrace]]
    sandbox: Callable[[], Sandbox]
    """Opens the sandbox at its first use."""
    writer: Writer
    listener: Listener
    control: Control
    checkpoint: Callable[[State, bool], None]
    """Write policy and stage state down, now; true where a person asked for it."""
    prune: Callable[[], None]
    """Remove the checkpoints that newer ones of sound weights replace."""
    position: int = 0
    """Of the present stage in its arm."""
    after: str = "base"
    """Training stages the policy has been through, such as ``ra3+rlvr``."""
    costs: Costs = field(default_factory=Costs)
    kept: Costs = field(default_factory=Costs)
    """Of the work up to the last update, with which a checkpoint inside the stage goes on."""
    _stage_began: float = 0.0
    _logged_before: float = 0.0
    _clocked: bool = False
    _waited: float = 0.0
    _skipped: int = 0
    _unproven: bool = False
    """Has no update yet shown that the weights of the newest checkpoint are sound?"""
    sound_step: int | None = None
    """The last update of this stage whose gradient was finite."""
    _phase: str = ""
    _phase_began: float = 0.0
    _phase_from: int = 0
    _told: float = 0.0
    _state: Callable[[], State] | None = None

    def __post_init__(self) -> None:
        self._meter = Meter(self.policy)

    @property
    def step(self) -> int:
        """Updates this run has taken."""
        return self.writer.step

    def seed(self, *labels: object) -> int:
        """A seed, in 63 bits, that follows from the recipe's seed, this stage and ``labels`` alone."""
        return self.common_seed(self.position, *labels)

    def common_seed(self, *labels: object) -> int:
        """The same without the stage: what is drawn by it is drawn alike in every stage and every arm."""
        text = repr((self.recipe.seed, *labels))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def begin_stage(self, position: int, costs: dict[str, Any] | None) -> None:
        """The stage at ``position`` begins, or goes on with the ``costs`` it had at its checkpoint.

        Raises:
            Stopped: somebody asked the run to end.
        """
        self.position = position
        self.costs = Costs(**costs or {})
        self.kept = replace(self.costs)
        self._stage_began = self._now() - self.costs.wall
        self._logged_before = self.costs.seconds.get("log", 0.0) - self.writer.seconds
        self._meter.take()
        forget_peak(self.policy.device)
        self._state = None
        self._skipped = 0
        self._unproven = False
        self.sound_step = None
        self.attend()
        self.recipe = self.control.settle(self.recipe, self.step)

    def record_stage(self, kind: str, **columns: Any) -> None:
        """*Collective.* Write the stage's row, with what it has used so far."""
        costs = self.settled()
        used = {
            "seconds": costs.wall,
            "tokens_trained": costs.tokens_trained,
            "tokens_generated": costs.tokens_generated,
            "flops": float(costs.flops),
            "peak_mb": costs.peak_mb,
            "work": json.dumps(costs.seconds),
        }
        self.writer.stage(self.position, kind, **used, **columns)

    def settled(self) -> Costs:
        """*Collective.* The stage's costs as they are now."""
        costs = self.costs
        costs.wall = self._now() - self._stage_began
        costs.seconds["log"] = self._logged_before + self.writer.seconds
        costs.flops += sum(self.ranks.gather([self._meter.take()]))
        costs.peak_mb = max(costs.peak_mb, peak_mb(self.policy.device))
        return costs

    def spent(self) -> float:
        """Seconds the stage has taken so far, measuring left out."""
        return self._now() - self._stage_began - self.costs.seconds.get("measure", 0.0)

    def phase(self, kind: str, round_: int = 0, title: str = "", done: int = 0) -> None:
        """A phase begins: a band behind the charts, a progress bar; ``done`` of it was done before a resume."""
        self._phase_from = done
        self._phase = title or kind
        self._phase_began = self._now()
        self.writer.update_run(stage=self._phase, step=self.step, progress=0.0, eta_s=None)
        self.writer.phase(kind, self.position, round_)

    def trainer(self, policy: Policy, optimiser: Optimiser) -> Trainer:
        """What updates ``policy`` in this run."""
        return Trainer(policy, optimiser, self.recipe.compute, self.accelerator, self.ranks)

    def update(self, trainer: Trainer, tries: Sequence[Trie], clip: Clip | None = None) -> Update:
        """*Collective.* An update by ``trainer``, in smaller batches where memory runs out."""

        def attempt(recipe: Recipe) -> Update:
            trainer.compute = recipe.compute
            return trainer.update(tries, clip)

        longest = max(map(len, tries))
        with self.clock("train"):
            return self.within_memory(attempt, partial(narrower, least=longest))

    def score(self, policy: Policy, tries: Sequence[Trie]) -> list[NDArray[np.float64]]:
        """*Collective.* Log-probabilities of each trie's targets, in nats, each rank computing its share."""
        mine = self.ranks.share(tries)
        return self.ranks.gather(self.within_memory(lambda recipe: score(policy, mine, recipe.compute)))

    def within_memory(self, work: Callable[[Recipe], ResultT], squeeze: Squeeze = narrower) -> ResultT:
        """What ``work`` gives with the recipe, or with one of smaller batches where memory runs out.

        Those are kept for the rest of the run, and told of. Ranks cut their shares from the same batches, so that one
        of several does not make its own smaller.

        Raises:
            EnvironmentFault: memory runs out with the smallest batches, or in one of several ranks.
        """
        less = squeeze if self.ranks.size == 1 else _never
        return within_memory(lambda compute: work(self._with(compute)), self.recipe.compute, less, self._make_do)

    def _with(self, compute: Compute) -> Recipe:
        return self.recipe.model_copy(update={"compute": compute})

    def _make_do(self, compute: Compute, why: str) -> None:
        self.recipe = self._with(compute)
        self.warn("memory", why)

    def _now(self) -> float:
        """Seconds on a clock that stands still while the run is paused."""
        return time.monotonic() - self._waited

    @contextmanager
    def clock(self, work: str) -> Iterator[None]:
        """Count the seconds spent inside as ``work``, unless they count as something already."""
        if self._clocked:
            yield
            return
        begin, self._clocked = self._now(), True
        try:
            yield
        finally:
            self._clocked = False
            self.costs.seconds[work] = self.costs.seconds.get(work, 0.0) + self._now() - begin

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """*Collective.* What is done inside costs the stage seconds of measuring, and nothing else."""
        generated = self.settled().tokens_generated
        with self.clock("measure"):
            yield
        self._meter.take()
        self.costs.tokens_generated = generated

    def tell(self, done: int, total: int, unit: str, note: str = "") -> None:
        """Show how far the phase is, to whoever watches in this process and, once a second, in the store."""
        arm = next(iter(self.recipe.arms))
        self.listener.progress(Progress(self.run, arm, self._phase, done, total, unit, note))
        now = time.monotonic()
        if now - self._told > TELL_SECONDS or done == total:
            self._told = now
            fresh = done - self._phase_from
            eta = (self._now() - self._phase_began) / fresh * (total - done) if fresh > 0 else None
            self.writer.update_run(stage=self._phase, step=self.step, progress=done / total, eta_s=eta)

    def should_stop(self) -> bool:
        """Was the run asked to end? To be asked often while samples are drawn."""
        return self.control.should_stop()

    def attend(self) -> None:
        """*Collective.* Do what people asked for: write a checkpoint, wait while paused, or leave the stage.

        May be called where the policy is that of the last update; what was done since then is redone on resume.

        Raises:
            Stopped: somebody asked the run to end, through whichever rank.
        """
        self._waited += self.control.attend(self.write_down)
        if self.ranks.any(self.should_stop()):
            raise Stopped

    def write_down(self, asked: bool = False) -> None:
        """Write a checkpoint of the last finished update; where there is none to write, a person who asked is told."""
        if self._state is not None and not self._skipped:
            with self.clock("save"):
                self.checkpoint(self._state(), asked)
            self._unproven = True
        elif asked:
            why = "its last gradient was not finite" if self._skipped else "this stage has taken no update yet"
            self.warn("checkpoint", f"no checkpoint was written: {why}; the one before holds")

    def warn(self, kind: str, message: str) -> None:
        """Tell a person of something that is weaker than asked, and record it."""
        self.writer.event(kind, message, level="warning")
        self.listener.event(self.run, "warning", message)

    def finish_update(self, update: Update | None, metrics: dict[str, float], state: Callable[[], State]) -> None:
        """Count an update, record its metrics, write a checkpoint when one is due, and stop if asked.

        ``update`` is None where there was nothing to learn from.
        """
        self.writer.step += 1
        if update is not None:
            self.costs.tokens_trained += update.tokens
            metrics = {
                "grad_norm": update.grad_norm,
                "learning_rate": update.learning_rate,
            } | metrics
            self._count_skipped(update)
        self.writer.metrics(metrics | self.settled().metrics())
        self.kept = replace(self.costs)
        self._state = state
        self.attend()
        self.recipe = self.control.settle(self.recipe, self.step)
        if self.step % self.recipe.checkpoints.every == 0:
            self.write_down()

    def _count_skipped(self, update: Update) -> None:
        self._skipped = self._skipped + 1 if update.skipped else 0
        if not update.skipped:
            self.sound_step = self.step
            if self._unproven:
                self.prune()
                self._unproven = False
        else:
            self.warn("skipped", f"step {self.step}: the gradient was not finite; the weights were left as they were")
        if self._skipped >= MAX_SKIPPED:
            raise Diverged(
                f"the gradient was not finite {MAX_SKIPPED} times in a row; the last checkpoint is of sound weights: "
                f"lower the learning rate by `ra3 set {self.run} KEY=VALUE`, then `ra3 run --resume {self.run}`"
            )


def _never(_: Compute) -> None:
    """No smaller batches."""


def shuffled(count: int, seed: int) -> Iterator[int]:
    """Indices below ``count`` without end, each epoch in an order of its own."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count).tolist()


def plan_batches(sizes: Sequence[int], step_tokens: int, budget: float, seed: int) -> Iterator[list[int]]:
    """Indices of each update's sequences: at least ``step_tokens`` an update, until ``budget`` tokens are reached."""
    batch: list[int] = []
    held = total = 0
    for index in shuffled(len(sizes), seed):
        batch.append(index)
        held += sizes[index]
        if held >= step_tokens or total + held >= budget:
            yield batch
            total += held
            batch, held = [], 0
        if total >= budget:
            return
