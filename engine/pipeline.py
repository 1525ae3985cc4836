"""The life of a run: lock it, open its model and data, do its stages in order, write down how it ended.

A run goes on from its newest checkpoint; what the store holds from after it is dropped first, so that a resumed run
leaves the same records as one that was never interrupted. ``python -m engine.pipeline`` is a process of its own that
does so for runs that were planned.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from engine.errors import EnvironmentFault, UsageFault
from engine.methods.evaluation import EVAL
from engine.methods.ntp import NTP
from engine.methods.ra3.em import RA3
from engine.methods.rlvr import RLVR
from engine.methods.same_data import check_same_data
from engine.model.policy import Policy
from engine.processes.device import device_words, open_accelerator, precision_words, resolved
from engine.processes.launch import joined
from engine.processes.ranks import Ranks
from engine.processes.stopping import StopFlag
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Checkpoints, StageKind
from engine.runs import checkpoints, inputs
from engine.runs.checkpoints import StateDict
from engine.runs.control import Control, Stopped
from engine.runs.corpus import TracePairs, length, load_traces
from engine.runs.display import Display
from engine.runs.estimate import needs
from engine.runs.launches import Sandboxes, check_run, processes_of, set_down, standing, writing
from engine.runs.places import Checkpoint, Place, newest_sound, set_aside
from engine.runs.planning import recipe_of
from engine.runs.positions import check_positions
from engine.runs.progress import Listener, Silent
from engine.runs.record import Outcome, RunRecord
from engine.runs.stages.checkpointer import Checkpointer
from engine.runs.stages.clock import Clock
from engine.runs.stages.context import Context
from engine.runs.stages.costs import Costs
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.soundness import Diverged
from engine.runs.stages.stage import Stage
from engine.store.null_writer import NullWriter
from engine.store.reader import Reader
from engine.store.writer import Writer
from engine.suites.problem import Suite
from engine.training.memory import MemoryGuard
from sandbox import SandboxUnavailable

_STAGES: dict[StageKind, Stage[Any]] = {"eval": EVAL, "ntp": NTP, "ra3": RA3, "rlvr": RLVR}


def execute(home: Path, runs: Sequence[str], listener: Listener, *, processes: int | None = None) -> list[Outcome]:
    """Run, or go on with, each of ``runs`` in order; one that is done already is passed over.

    A run that fails by itself leaves the others to go on; what a person can mend stops them all, still resumable.
    ``processes`` work on them together, by default as many as their recipes say; under a launcher, those it started,
    of which the first says which ``runs``.

    Raises:
        UsageFault, EnvironmentFault, SandboxUnavailable: as their messages say.
    """
    outcomes: list[Outcome] = []
    with joined(home, runs, lambda: processes or processes_of(home, runs)) as ranks, ExitStack() as stack:
        flag = stack.enter_context(StopFlag().listening())
        sandboxes = Sandboxes(stack)
        waiting = ranks.from_first(lambda: list(runs))
        stack.callback(set_down, home, waiting, ranks)
        if ranks.first:
            for run in waiting:
                check_run(home, run, listener, sandboxes, ranks)
        while waiting and not ranks.any(flag.raised):
            run = waiting.pop(0)
            with ExitStack() as held:
                writer = held.enter_context(writing(home, run)) if ranks.first else NullWriter(run)
                outcomes.append(_Engine(home, run, writer, listener, flag, sandboxes, ranks).execute())
    return outcomes


class _Engine:
    """One run, from where it stands to its end."""

    def __init__(
        self,
        home: Path,
        run: str,
        writer: Writer,
        listener: Listener,
        flag: StopFlag,
        sandboxes: Sandboxes,
        ranks: Ranks,
    ) -> None:
        self._row, self._done = ranks.from_first(lambda: standing(home, run))
        self._run = run
        self._recipe = recipe_of(self._row)
        self._arm, arm = next(iter(self._recipe.arms.items()))
        self._stages = arm.stages
        self._folder = home / run
        self._writer = writer
        self._listener = listener
        self._flag = flag
        self._sandboxes = sandboxes
        self._ranks = ranks
        self._record = RunRecord(self._arm, self._folder, writer, listener, ranks)

    def execute(self) -> Outcome:
        """Do what is left of the run and mark how it ended."""
        if self._row["status"] == "done":
            return Outcome(self._run, self._arm, "done")
        self._ranks.begin(self._run, self._record.rank_lost)
        try:
            self._work()
        except Stopped:
            return self._record.ended("stopped", "stopped by request; go on with `ra3 run --resume`")
        except (UsageFault, EnvironmentFault, SandboxUnavailable) as error:
            self._record.cut_short("failed", str(error))
            raise
        except KeyboardInterrupt:
            self._record.cut_short("stopped", "interrupted at once; the last checkpoint holds")
            raise
        except Diverged as error:
            return self._record.ended("failed", str(error))
        except OSError as error:
            raise self._record.fault(error) from error
        except Exception as error:  # the boundary of a run: the others go on
            return self._record.failed(error)
        return self._record.ended("done")

    def _work(self) -> None:
        accelerator = open_accelerator(self._recipe, self._ranks)
        precision = precision_words(self._recipe, accelerator)
        self._recipe = resolved(self._recipe, accelerator)
        set_seed(self._recipe.seed)
        start = (None, Place(0, -1, "", True, "base", {}))
        checkpoint, place = self._ranks.from_first(self._newest_checkpoint) or start
        first = self._first_stage(place)
        self._go_back_to(checkpoint, place, first)
        self._record.begun(self._row, self._recipe, device_words(accelerator, self._ranks))
        self._writer.event("precision", precision)
        context = self._open(accelerator, checkpoint, place, self._stages[first:])
        state = checkpoints.load_state(checkpoint) if checkpoint and not place.ended else None
        for position in range(first, len(self._stages)):
            costs = place.costs if state else self._costs_of_evaluation(position)
            context.begin_stage(position, self._stages[position], costs)
            self._run_stage(context, state)
            state = None

    def _costs_of_evaluation(self, position: int) -> dict[str, Any] | None:
        """*Collective.* What an evaluation had cost that was interrupted, its kept portions alone; None for others."""
        if self._stages[position] != "eval":
            return None
        row = self._ranks.from_first(lambda: self._writer.stage_row(position))
        return None if row is None else asdict(Costs.from_columns(row))

    def _first_stage(self, place: Place) -> int:
        """The first stage whose outcome the newest checkpoint does not hold; evaluations leave theirs in the store."""
        first = place.position + 1 if place.ended else place.position
        while first in self._done and self._stages[first] == "eval":
            first += 1
        return first

    def _newest_checkpoint(self) -> Checkpoint | None:
        """The one to go on from; newer ones that are damaged are set aside, with word of it.

        Raises:
            EnvironmentFault: the run is a fork, and what it was to begin from is lost.
        """
        sound, damaged = newest_sound(self._folder / "checkpoints")
        if sound is None and self._row["parent"]:
            origin = f"{self._row['parent']}@{self._row['parent_step']}"
            raise EnvironmentFault(f"run {self._run}: its checkpoints are gone or damaged; fork {origin} anew")
        for path, why in damaged.items():
            where = sound[0].name if sound else "the beginning, as no other is left"
            words = f"{path.name} is damaged ({why}), it is now {set_aside(path).name}; going on from {where}"
            self._writer.event("checkpoint", words, "warning")
            self._listener.event(self._run, "warning", words)
        return sound

    def _go_back_to(self, checkpoint: Path | None, place: Place, first: int) -> None:
        """Have the store hold what it held at ``place``, which is the checkpoint's."""
        self._writer.step = place.step
        self._writer.forget_after(place.step, first)
        killed_behind_it = place.ended and place.position >= 0 and place.position not in self._done
        if killed_behind_it:
            done = {"status": "done", "last_step": place.step, "ended": time.time(), "checkpoint": str(checkpoint)}
            self._writer.stage(place.position, place.kind, **done)

    def _open(
        self, accelerator: Accelerator, checkpoint: Path | None, place: Place, left: Sequence[StageKind]
    ) -> Context:
        """What the stages ``left`` work with: the policy as it was at ``place``, the data, what watches over it."""
        recipe, ranks, writer = self._recipe, self._ranks, self._writer
        with ranks.first_before_others():  # it may have to be fetched
            policy = checkpoints.open_policy(recipe, checkpoint, str(accelerator.device))
        writer.event("tokenizer", policy.boundary.words)
        check_positions(policy, recipe, self._stages)
        self._tell_memory(policy, accelerator)
        suites, traces, held_out = ranks.from_first(lambda: self._read_inputs(policy, checkpoint, left))
        clock = Clock()
        display = Display(self._arm, writer, self._listener, clock)
        ledger = Ledger(policy, writer, ranks, clock)
        folder, keep = self._folder / "checkpoints", recipe.checkpoints.keep
        worth = _worth(writer, recipe.checkpoints)
        return Context(
            recipe=recipe,
            policy=policy,
            accelerator=accelerator,
            ranks=ranks,
            memory=MemoryGuard(recipe.compute, lambda words: display.warn("memory", words), fixed=ranks.size > 1),
            ledger=ledger,
            control=Control(writer, self._listener, lambda: self._flag.raised, ranks, clock),
            checkpointer=Checkpointer(folder, keep, policy, ledger, writer, ranks, display.warn, worth),
            display=display,
            writer=writer,
            traces=traces,
            held_out=held_out,
            suites=suites,
            sandbox=lambda: self._sandboxes.get(recipe),
            position=place.position,
            after=place.after,
        )

    def _tell_memory(self, policy: Policy, accelerator: Accelerator) -> None:
        """Say what the run will need at its peak, and warn where that is more than there is."""
        device = accelerator.device
        sharing = self._ranks.size if device.type == "cpu" else 1
        level, words = needs.tell(policy.model.config, self._recipe, device, sharing=sharing)
        self._writer.event("memory", words, level)
        self._listener.event(self._run, level, words)

    def _read_inputs(
        self, policy: Policy, checkpoint: Path | None, left: Sequence[StageKind]
    ) -> tuple[dict[str, Suite], TracePairs, TracePairs]:
        """What the stages ``left`` work on, and the traces held out, if it is all still what the run began with.

        Raises:
            UsageFault: it is not, or it cannot be had.
        """
        recipe = self._recipe
        suites = inputs.load_suites(recipe, left)
        traces, held_out = load_traces(policy, recipe, left, lambda note: self._writer.event("corpus", note))
        digests = inputs.digests_of_files(recipe, left, suites) | inputs.digest_of_model(recipe)
        if traces:
            digests |= inputs.digest_of_traces(recipe, [trace for trace, _ in (*held_out, *traces)])
            sizes = [length(encoded) for _, encoded in traces]
            self._writer.event("corpus", check_same_data(self._arms_on_this_corpus(), sizes))
        if checkpoint is None or recipe.lora.rank:  # else the base is in none of what is left
            digests = {f"model {recipe.model.id}": policy.base_fingerprint()} | digests
        begun = checkpoint is not None or bool(self._done)
        if not begun and inputs.changed(inputs.recorded(self._folder), digests):
            self._writer.forget_after(0, -1)  # samples of an evaluation of what was there before
        inputs.check_unchanged(self._folder, digests, begun=begun)
        return suites, traces, held_out

    def _arms_on_this_corpus(self) -> dict[str, Recipe]:
        """The recipes of this launch, by arm, that train on the corpus of this run."""
        with closing(Reader(self._folder.parent)) as reader:
            configs = [reader.run(row["id"])["config"] for row in reader.runs(self._row["group"])]
        recipes = [Recipe.model_validate_json(config) for config in configs]
        return {arm: recipe for recipe in recipes for arm in recipe.arms if recipe.corpus == self._recipe.corpus}

    def _run_stage(self, context: Context, state: StateDict | None) -> None:
        kind = self._stages[context.position]
        begun = {} if state else {"first_step": context.step, "started": time.time()}
        self._record_stage(context, status="running", **begun)
        try:
            _STAGES[kind].begin(context, state)
        except Stopped:
            context.checkpointer.write()
            if kind == "eval":
                context.ledger.go_back()
            self._record_stage(context, status="stopped", ended=time.time())
            raise
        except Diverged:
            context.checkpointer.discard_unsound()
            raise
        saved = None
        if kind != "eval":
            context.after = kind if context.after == "base" else f"{context.after}+{kind}"
            saved = str(context.checkpointer.end(context.after))
        self._record_stage(context, status="done", last_step=context.step, ended=time.time(), checkpoint=saved)

    def _record_stage(self, context: Context, **columns: Any) -> None:
        """*Collective.* Write the stage's row, with what it has used so far."""
        used = context.ledger.settled().columns()
        self._writer.stage(context.position, self._stages[context.position], **used, **columns)


def _worth(writer: Writer, settings: Checkpoints) -> Callable[[int], float | None] | None:
    """By which the best checkpoint inside a stage stays."""
    metric = settings.best
    return None if metric is None else lambda step: writer.mean(metric, step - settings.every, step)


def main() -> None:
    """The detached engine: works through runs that were planned, and leaves its word in the store and its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine.pipeline", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--processes", type=int, help="how many work on them; by default what their recipes say")
    parser.add_argument("runs", nargs="+")
    arguments = parser.parse_args()
    gc.freeze()  # what was imported is never garbage, and takes half a second to look through
    try:
        outcomes = execute(arguments.home, arguments.runs, Silent(), processes=arguments.processes)
    except (UsageFault, EnvironmentFault, SandboxUnavailable) as fault:
        sys.exit(str(fault))
    sys.exit(any(outcome.status == "failed" for outcome in outcomes))


if __name__ == "__main__":
    main()
