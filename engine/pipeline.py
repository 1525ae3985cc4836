"""Runs at work: stages in order, checkpoints between, resume, control; ``python -m engine.pipeline`` is the process.

A run goes on from its newest checkpoint; what the store holds from after it is dropped first, so that a resumed run
leaves the same records as one that was never interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from engine.corpora.sources import corpus_of
from engine.corpora.traces import Trace
from engine.errors import EnvironmentFault, UsageFault
from engine.methods import evaluation as evaluate
from engine.methods import ntp, rlvr
from engine.methods.ra3 import em
from engine.model.encoding import EncodedTrace, encode_trace
from engine.model.policy import Policy
from engine.processes.launch import joined
from engine.processes.ranks import RankLost, Ranks
from engine.recipe.recipe import Recipe
from engine.runs import checkpoints, estimate
from engine.runs.context import Context, Diverged, State, Stopped
from engine.runs.control import Control
from engine.runs.places import Place, newest
from engine.runs.planning import RunLock
from engine.runs.progress import Listener, Silent
from engine.store.connection import StoreError
from engine.store.null_writer import NullWriter
from engine.store.reader import Reader
from engine.store.writer import Writer
from sandbox import Sandbox, SandboxUnavailable, open_sandbox

_LEVELS = {"done": "info", "stopped": "warning"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    run: str
    arm: str
    status: str
    """``done``, ``failed`` or ``stopped``."""
    error: str | None = None


class StopFlag:
    """Raised by SIGINT and SIGTERM; a second signal interrupts at once."""

    def __init__(self) -> None:
        self.raised = False

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Catch the signals inside."""
        before = {number: signal.signal(number, self._raise) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _raise(self, _: int, __: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True


def execute(home: Path, runs: Sequence[str], listener: Listener, *, processes: int | None = None) -> list[Outcome]:
    """Run, or go on with, each of ``runs`` in order; one that is done already is passed over.

    A run that fails by itself leaves the others to go on; what a person can mend stops them all, still resumable.
    ``processes`` work on them together, by default as many as their recipes say; under a launcher, those it started,
    of which the first says which ``runs``.

    Raises:
        UsageFault, EnvironmentFault, SandboxUnavailable: as their messages say.
    """
    outcomes: list[Outcome] = []
    with joined(home, runs, lambda: processes or _processes_of(home, runs)) as ranks, ExitStack() as stack:
        flag = stack.enter_context(StopFlag().listening())
        sandboxes = _Sandboxes(stack)
        for run in ranks.from_first(lambda: list(runs)):
            if ranks.any(flag.raised):
                break
            with ExitStack() as held:
                writer = held.enter_context(_writing(home, run)) if ranks.first else NullWriter(run)
                outcomes.append(_Engine(home, run, writer, listener, flag, sandboxes, ranks).execute())
    return outcomes


def _processes_of(home: Path, runs: Sequence[str]) -> int:
    """How many processes the recipes of ``runs`` ask for.

    Raises:
        UsageFault: they do not agree.
    """
    with closing(Reader(home)) as reader:
        found = {Recipe.model_validate_json(reader.run(run)["config"]).compute.processes for run in runs}
    if len(found) > 1:
        raise UsageFault(f"compute.processes differs between these runs ({sorted(found)}): start them one by one")
    return found.pop()


@contextmanager
def _writing(home: Path, run: str) -> Iterator[Writer]:
    with RunLock(home, run), Writer(home, run) as writer:
        yield writer


class _Sandboxes:
    """One sandbox for all runs, opened at its first use."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[tuple[str, int | None], Sandbox] = {}

    def get(self, recipe: Recipe) -> Sandbox:
        key = (recipe.sandbox.backend, recipe.sandbox.workers)
        if key not in self._open:
            self._open[key] = self._stack.enter_context(open_sandbox(*key))
        return self._open[key]


class _Engine:
    """One run, from where it stands to its end."""

    def __init__(
        self,
        home: Path,
        run: str,
        writer: Writer,
        listener: Listener,
        flag: StopFlag,
        sandboxes: _Sandboxes,
        ranks: Ranks,
    ) -> None:
        self._row, self._done = ranks.from_first(lambda: _standing(home, run))
        self._run = run
        self._recipe = Recipe.model_validate_json(self._row["config"])
        self._arm, arm = next(iter(self._recipe.arms.items()))
        self._stages = arm.stages
        self._folder = home / run
        self._writer = writer
        self._listener = listener
        self._flag = flag
        self._sandboxes = sandboxes
        self._ranks = ranks

    def execute(self) -> Outcome:
        """Do what is left of the run and mark how it ended."""
        if self._row["status"] == "done":
            return Outcome(self._run, self._arm, "done")
        self._ranks.begin(self._run, lambda lost: self._record_end("failed", self._lost_words(lost)))
        try:
            self._work()
        except Stopped:
            return self._end("stopped", "stopped by request; go on with `ra3 run --resume`")
        except (UsageFault, EnvironmentFault, SandboxUnavailable) as fault:
            self._record_end("failed", str(fault))
            raise
        except KeyboardInterrupt:
            self._record_end("stopped", "interrupted at once; the last checkpoint holds")
            raise
        except Diverged as error:
            return self._end("failed", str(error))
        except OSError as error:
            told = EnvironmentFault(f"{error.filename or self._folder}: {error.strerror}; mend it, then resume the run")
            self._record_end("failed", str(told))
            raise told from error
        except Exception as error:  # the boundary of a run: the others go on, the whole story is in its log
            log = self._folder / "log"
            with log.open("a", encoding="utf-8") as file:
                traceback.print_exc(file=file)
            why = f"{type(error).__name__}: {error} (the traceback is in {log})"
            if self._ranks.size > 1:
                raise self._broken(why, error) from error
            return self._end("failed", why)
        return self._end("done", None)

    def _broken(self, why: str, error: Exception) -> RankLost:
        """Record what ended the run in one of its processes: none can tell where the others are, so all end with it."""
        lost = self._ranks.loss(error)
        why = self._lost_words(lost) if lost else why
        self._record_end("failed", why)
        return RankLost(why)

    def _lost_words(self, lost: str) -> str:
        return f"{lost}; the last checkpoint holds: go on with `ra3 run --resume {self._run}`"

    def _end(self, status: str, error: str | None) -> Outcome:
        """Record how the run ended, and tell whoever listens; what is raised instead is told by who catches it."""
        self._listener.event(self._run, _LEVELS.get(status, "error"), f"{self._arm}: {error or status}")
        self._record_end(status, error)
        return Outcome(self._run, self._arm, status, error)

    def _record_end(self, status: str, error: str | None) -> None:
        try:
            self._writer.event(status, error or status, _LEVELS.get(status, "error"))
            told = error if status == "failed" else None
            self._writer.update_run(status=status, ended=time.time(), error=told, eta_s=None)
        except StoreError as fault:  # a full disk: readers will see that the process is gone
            self._listener.event(self._run, "error", str(fault))

    def _work(self) -> None:
        recipe = self._recipe
        accelerator = open_accelerator(recipe, self._ranks)
        set_seed(recipe.seed)
        found = self._ranks.from_first(lambda: newest(self._folder / "checkpoints"))
        first = self._first_stage(found[1] if found else None)
        checkpoint, place = found or (None, Place(0, -1, "", True, "base", {}))
        self._mark_begun(accelerator, checkpoint, place, first)
        with self._ranks.first_before_others():  # it may have to be fetched
            policy = checkpoints.open_policy(recipe, checkpoint, str(accelerator.device))
        self._tell_memory(policy, accelerator)
        traces, held_out = self._ranks.from_first(lambda: self._load_traces(policy))

        def save(state: State, asked: bool) -> None:
            self._save(context, state, asked=asked)

        context = Context(
            run=self._run,
            recipe=recipe,
            policy=policy,
            accelerator=accelerator,
            ranks=self._ranks,
            traces=traces,
            held_out=held_out,
            sandbox=lambda: self._sandboxes.get(recipe),
            writer=self._writer,
            listener=self._listener,
            control=Control(self._writer, self._listener, lambda: self._flag.raised, self._ranks),
            checkpoint=save,
            prune=lambda: self._prune(context),
            after=place.after,
        )
        state = checkpoints.load_state(checkpoint) if checkpoint and place.position == first else None
        for position in range(first, len(self._stages)):
            context.begin_stage(position, place.costs if state else None)
            self._run_stage(context, state)
            state = None

    def _tell_memory(self, policy: Policy, accelerator: Accelerator) -> None:
        """Say what the run will need at its peak, and warn where that is more than there is."""
        device = accelerator.device
        sharing = self._ranks.size if device.type == "cpu" else 1
        level, told = estimate.tell(policy.model.config, self._recipe, device, sharing=sharing)
        self._writer.event("memory", told, level)
        self._listener.event(self._run, level, told)

    def _first_stage(self, place: Place | None) -> int:
        """The first stage that has not ended, by the store and by the newest checkpoint."""
        ended = place.position + 1 if place and place.ended else place.position if place else 0
        while ended in self._done:
            ended += 1
        return ended

    def _mark_begun(self, accelerator: Accelerator, checkpoint: Path | None, place: Place, first: int) -> None:
        resumed = self._row["started"] is not None
        self._writer.step = place.step
        self._writer.forget_after(place.step, first)
        if (
            place.ended and place.position >= 0 and place.position not in self._done
        ):  # killed right behind its checkpoint
            done = {"status": "done", "last_step": place.step, "ended": time.time(), "checkpoint": str(checkpoint)}
            self._writer.stage(place.position, place.kind, **done)
        self._writer.update_run(
            status="running",
            device=_device_words(accelerator, self._ranks),
            host=os.uname().nodename,
            pid=os.getpid(),
            started=self._row["started"] or time.time(),
            heartbeat=time.time(),
            ended=None,
            error=None,
        )
        parent = f" from {self._row['parent']}@{self._row['parent_step']}" if self._row["parent"] else ""
        what = f"resumed at step {place.step}" if resumed else f"started{parent}"
        together = f", {self._ranks.size} processes" if self._ranks.size > 1 else ""
        self._writer.event("started", f"{what}: {' > '.join(self._stages)}, seed {self._recipe.seed}{together}")

    def _load_traces(self, policy: Policy) -> tuple[list[tuple[Trace, EncodedTrace]], list[tuple[Trace, EncodedTrace]]]:
        if not {"ntp", "ra3"} & set(self._stages):
            return [], []
        pairs, notes = read_traces(policy, self._recipe)
        for note in notes:
            self._writer.event("corpus", note)
        held_out = self._recipe.corpus.held_out
        if len(pairs) <= held_out:
            raise UsageFault(
                f"corpus {self._recipe.corpus.kind}: {len(pairs)} usable traces, of which {held_out} are held out, "
                "leave none to train on; raise corpus.max_tokens or corpus.max_lines, or lower corpus.held_out"
            )
        return pairs[held_out:], pairs[:held_out]

    def _run_stage(self, context: Context, state: State | None) -> None:
        kind = self._stages[context.position]
        begun = {} if state else {"first_step": context.step, "started": time.time()}
        context.record_stage(kind, status="running", **begun)
        try:
            _STAGES[kind](context, state)
        except Stopped:
            context.write_down()
            context.record_stage(kind, status="stopped", ended=time.time())
            raise
        except Diverged:
            self._discard_unsound(context)
            raise
        saved = None
        if kind != "eval":
            context.after = kind if context.after == "base" else f"{context.after}+{kind}"
            saved = str(self._save(context, None))
            self._prune(context)
        context.accelerator.free_memory()
        context.record_stage(kind, status="done", last_step=context.step, ended=time.time(), checkpoint=saved)

    def _save(self, context: Context, state: State | None, *, asked: bool = False) -> Path:
        kind = self._stages[context.position]
        context.record_stage(kind, status="running")
        costs = asdict(context.costs if state is None else context.kept)
        place = Place(context.step, context.position, kind, state is None, context.after, costs)
        folder = self._folder / "checkpoints"
        path = self._ranks.from_first(lambda: checkpoints.save(folder, context.policy, place, state, asked=asked))
        self._writer.event("checkpoint", path.name)
        self._writer.update_run(step=context.step)  # what is shown is never behind what can be gone on from
        return path

    def _prune(self, context: Context) -> None:
        folder, keep = self._folder / "checkpoints", self._recipe.checkpoints.keep
        self._ranks.from_first(lambda: checkpoints.prune(folder, context.position, keep))

    def _discard_unsound(self, context: Context) -> None:
        """Remove what was written behind the last finite gradient: those weights gave none since."""
        folder, step = self._folder / "checkpoints", context.sound_step
        if step is not None:
            names = self._ranks.from_first(lambda: checkpoints.discard_from(folder, context.position, step))
            for name in names:
                self._writer.event(
                    "checkpoint", f"{name} removed: its weights gave no finite gradient", level="warning"
                )


def _standing(home: Path, run: str) -> tuple[dict[str, Any], set[int]]:
    """A run's row, and the positions of its stages that are done."""
    with closing(Reader(home)) as reader:
        done = {stage["position"] for stage in reader.stages(run) if stage["status"] == "done"}
        return reader.run(run), done


def _device_words(accelerator: Accelerator, ranks: Ranks) -> str:
    """Where a run computes: ``cpu``, ``cuda:0``, ``2xcuda``."""
    return f"{ranks.size}x{accelerator.device.type}" if ranks.size > 1 else str(accelerator.device)


_STAGES: dict[str, Callable[[Context, State | None], None]] = {
    "eval": evaluate.run,
    "ntp": ntp.run,
    "ra3": em.run,
    "rlvr": rlvr.run,
}


def open_accelerator(recipe: Recipe, ranks: Ranks) -> Accelerator:
    """The accelerator a recipe asks for; each of several ranks on a machine takes a GPU of its own.

    Raises:
        EnvironmentFault: the device is not there, or cannot do the precision.
    """
    wanted = recipe.compute.device
    if wanted.startswith("cuda"):
        if not torch.cuda.is_available():
            raise EnvironmentFault(f"compute.device = {wanted!r}: torch sees no GPU here; set compute.device=cpu")
        if ranks.size == 1:
            torch.cuda.set_device(wanted if ":" in wanted else "cuda:0")
    if ranks.size > 1:
        _check_gpus(wanted)
    on_cpu = wanted == "cpu" or (ranks.size > 1 and not torch.cuda.is_available())
    AcceleratorState._reset_state()  # the arms of one launch may differ in precision
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=recipe.compute.mixed_precision)
    if accelerator.device.type == "cpu" and recipe.compute.mixed_precision == "fp16":
        raise EnvironmentFault("compute.mixed_precision = 'fp16' needs a GPU; set it to 'no' or 'bf16'")
    if accelerator.device.type == "cuda":  # what autocast leaves in float32 is the head, which TF32 does well enough
        lower = recipe.compute.mixed_precision != "no"
        torch.set_float32_matmul_precision("high" if lower else "highest")
    return accelerator


def _check_gpus(wanted: str) -> None:
    """Refuse what several processes cannot share."""
    if ":" in wanted:
        raise UsageFault(f"compute.device = {wanted!r}: each process takes a GPU of its own; write compute.device=cuda")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if wanted != "cpu" and torch.cuda.is_available() and here > gpus:
        raise EnvironmentFault(f"{here} processes on a machine with {gpus} GPUs; set compute.processes={gpus}")


def read_traces(policy: Policy, recipe: Recipe) -> tuple[list[tuple[Trace, EncodedTrace]], list[str]]:
    """The corpus, encoded for a policy, and notes on what was left out.

    Raises:
        UsageFault: the corpus holds nothing that can be used.
    """
    corpus, loaded = recipe.corpus, corpus_of(recipe)
    pairs = [(trace, encode_trace(policy, trace, recipe.ra3.latent_indent)) for trace in loaded.traces]
    fitting = [(trace, encoded) for trace, encoded in pairs if _length(encoded) <= corpus.max_tokens]
    for trace, encoded in pairs:
        if _length(encoded) > corpus.max_tokens:
            loaded.skip(f"over {corpus.max_tokens} tokens", trace.source or trace.id)
    return fitting, [f"{len(fitting)} traces from {corpus.path or corpus.kind}", f"left out: {loaded.account()}"]


def _length(trace: EncodedTrace) -> int:
    return len(trace.prompt) + sum(map(len, trace.lines))


def main() -> None:
    """The detached engine: works through runs that were planned, and leaves its word in the store and its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine.pipeline", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--processes", type=int, help="how many work on them; by default what their recipes say")
    parser.add_argument("runs", nargs="+")
    arguments = parser.parse_args()
    try:
        outcomes = execute(arguments.home, arguments.runs, Silent(), processes=arguments.processes)
    except (UsageFault, EnvironmentFault, SandboxUnavailable) as fault:
        sys.exit(str(fault))
    sys.exit(any(outcome.status == "failed" for outcome in outcomes))


if __name__ == "__main__":
    main()
