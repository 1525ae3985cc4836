"""``ra3 run``: from a recipe to judged models, in the foreground or as a process of its own."""

from __future__ import annotations

import gc
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.options import HOME, AsJson, Home, count, print_json, say, stdout, talk
from ra3tui.cli.progress import watched

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe

Device = Annotated[str | None, typer.Option(help="Short for compute.device=…: auto, cpu, cuda, cuda:N.")]
Seed = Annotated[int | None, typer.Option(help="Short for seed=….")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Short for compute.processes=…; with --resume, how many go on with it.")
]
Name = Annotated[str | None, typer.Option(help="What listings call these runs; the recipe's name by default.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A word to find the runs by; may be given again.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start a process of its own and come back at once.")]


def run(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="A shipped recipe or a TOML file.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Changes to it.")] = None,
    name: Name = None,
    tag: Tags = None,
    seed: Seed = None,
    device: Device = None,
    processes: Processes = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; may be given again.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    resume: Annotated[str | None, typer.Option(metavar="REF", help="Finish a run or group.")] = None,
    fork: Annotated[str | None, typer.Option(metavar="RUN@STEP", help="Begin from a run's checkpoint.")] = None,
    detach: Detach = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Run a recipe's arms one after the other, and print how they compare."""
    if int(os.environ.get("RANK", "0")) > 0:
        _assist(home)
        return
    _check_combination(recipe, arm, resume, fork)
    changes = [*(overrides or ()), *_shorthands(seed, device, processes)]
    if resume is not None:
        resume_runs(home, resume, detach=detach, as_json=as_json, processes=processes)
        return
    if fork is not None:
        changes = [recipe, *changes] if recipe else changes
        fork_run(home, fork, changes, name=name, tags=tag or (), dry_run=dry_run, detach=detach, as_json=as_json)
        return
    if recipe is None:
        raise UsageFault("name a recipe, such as `ra3 run quickstart`; `ra3 recipe list` shows those that are shipped")
    from engine.recipe.files import load_recipe

    resolved = load_recipe(recipe, changes)
    if dry_run:
        show_plan(resolved, home, arm, as_json=as_json)
    else:
        launch(resolved, home, name=name, tags=tag or (), arms=arm, detach=detach, as_json=as_json)


def _check_combination(recipe: str | None, arms: list[str] | None, resume: str | None, fork: str | None) -> None:
    """Refuse what a resumed or a forked run has from the run it goes on from."""
    if resume is not None and (recipe is not None or fork is not None):
        raise UsageFault(
            "--resume goes on with the recipe the run began with; leave RECIPE, its changes and --fork out "
            "(`ra3 set` changes live knobs of a run that is to be resumed)"
        )
    if resume is None and fork is not None and arms:
        raise UsageFault("--fork goes on with the arm of its run; leave --arm out")


def _shorthands(seed: int | None, device: str | None, processes: int | None) -> list[str]:
    """Options that stand for overrides."""
    pairs = {"seed": seed, "compute.device": device, "compute.processes": processes}
    return [f"{key}={value}" for key, value in pairs.items() if value is not None]


def launch(
    recipe: Recipe,
    home: Path,
    *,
    name: str | None = None,
    tags: list[str] | tuple[()] = (),
    arms: list[str] | None = None,
    detach: bool = False,
    as_json: bool = False,
) -> None:
    """Plan the arms of ``recipe`` in the store of ``home`` and work on them, once all that they need is there."""
    from engine.runs.checks import check_launch
    from engine.runs.planning import plan

    for warning in check_launch(recipe, arms, home):
        talk(f"ra3: {warning}")
    _check_devices(recipe, arms, here=not detach)
    planned = plan(recipe, home, name=name, tags=tags, arms=arms)
    talk(f"group {planned.group}: " + ", ".join(f"{run.id} {run.arm}" for run in planned.runs))
    _work(home, [run.id for run in planned.runs], detach=detach, as_json=as_json)


def fork_run(
    home: Path,
    reference: str,
    changes: list[str],
    *,
    name: str | None,
    tags: list[str] | tuple[()],
    dry_run: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Plan a run that begins from the checkpoint ``reference`` names, and work on it."""
    from engine.runs.checks import check_needs
    from engine.runs.fork import find_origin, forked_recipe, plan_fork, stages_left

    origin = find_origin(home, reference)
    recipe = forked_recipe(origin, changes)
    for words in origin.passed_over:
        talk(f"{words}; the fork begins from {origin.checkpoint.name}")
    for warning in check_needs(recipe, stages_left(origin, recipe), home):
        talk(f"ra3: {warning}")
    if dry_run:
        print_plan(recipe, home, None, as_json=as_json)
        return
    planned = plan_fork(home, origin, recipe, name=name, tags=tags)
    (run,) = planned.runs
    talk(f"group {planned.group}: {run.id} {run.arm}, from {origin.parent['id']}@{origin.place.step}")
    _work(home, [run.id], detach=detach, as_json=as_json)


def resume_runs(home: Path, reference: str, *, detach: bool, as_json: bool, processes: int | None = None) -> None:
    """Go on with every unfinished run that ``reference`` names, with as many ``processes``."""
    from engine.runs.planning import unfinished

    runs = unfinished(home, reference)
    talk(f"resuming {', '.join(runs)}")
    _work(home, runs, detach=detach, as_json=as_json, processes=processes)


def _work(home: Path, runs: list[str], *, detach: bool, as_json: bool, processes: int | None = None) -> None:
    """Work on ``runs``, all of one group, and end with an exit code that says what came of them."""
    if detach:
        _start(home, runs, as_json=as_json, processes=processes)
        return
    from engine.pipeline import execute

    gc.freeze()  # what was imported is never garbage, and takes half a second to look through
    with watched() as listener:
        execute(home, runs, listener, processes=processes)
    raise typer.Exit(_conclude(home, runs, as_json=as_json))


def _assist(home: Path) -> None:
    """Share the work of the first process, where ``accelerate launch`` or ``torchrun`` has started several of us."""
    from engine.pipeline import execute
    from engine.runs.progress import Silent

    execute(home, (), Silent())


def _start(home: Path, runs: list[str], *, as_json: bool, processes: int | None) -> None:
    from engine.runs.planning import start_detached

    log = home / runs[0] / "log"
    pid = start_detached(home, runs, log, processes)
    if as_json:
        print_json({"pid": pid, "log": str(log), "runs": runs})
    else:
        talk(f"process {pid} works on it, its log is {log}; `ra3 tail {runs[0]}` follows, `ra3 stop {runs[0]}` ends it")
        say("\n".join(runs))


def _conclude(home: Path, ids: list[str], *, as_json: bool) -> Exit:
    """Print what came of the runs ``ids``; the exit code for it."""
    from engine.store.reader import Reader
    from ra3tui.cli.report import group_report, print_latents, print_report

    with closing(Reader(home)) as reader:
        runs = [reader.run(id_) for id_ in ids]
        if as_json:
            print_json(group_report(reader, runs))
        else:
            print_report(stdout(), reader, runs)
            print_latents(stdout(), reader, runs)
            talk(
                "`ra3tui` shows the curves, every annotated trace and every sample: enter opens a run, ? tells the rest"
            )
    return _verdict([run["status"] for run in runs])


def _verdict(statuses: list[str]) -> Exit:
    if all(status == "done" for status in statuses):
        return Exit.DONE
    return Exit.FAILED if "failed" in statuses else Exit.INTERRUPTED


def show_plan(recipe: Recipe, home: Path, arms: list[str] | None, *, as_json: bool) -> None:
    """``--dry-run``: what is needed is asked for as it is before a run, then the plan is shown."""
    from engine.runs.checks import check_launch

    for warning in check_launch(recipe, arms, home):
        talk(f"ra3: {warning}")
    _check_devices(recipe, arms, here=True)
    print_plan(recipe, home, arms, as_json=as_json)


def _check_devices(recipe: Recipe, arms: list[str] | None, *, here: bool) -> None:
    """Ask for the devices that the ``arms`` of ``recipe`` name, unless the work is begun by a process not ``here``."""
    from engine.runs.planning import choose_arms

    named = {recipe.for_arm(arm).compute.device for arm in choose_arms(recipe, arms)} - {"auto", "cpu"}
    if named and here:
        from engine.processes.device import check_device

        for device in sorted(named):
            check_device(device)


def print_plan(recipe: Recipe, home: Path, arms: list[str] | None, *, as_json: bool) -> None:
    """The resolved recipe of each arm on stdout, what it will use on stderr."""
    from engine.runs.inputs import with_absolute_paths
    from engine.runs.planning import choose_arms

    resolved = {arm: with_absolute_paths(recipe.for_arm(arm)) for arm in choose_arms(recipe, arms)}
    uses = {arm: _budget(part) for arm, part in resolved.items()}
    machine = _machine(recipe, home)
    if as_json:
        recipes = {arm: part.model_dump(mode="json") for arm, part in resolved.items()}
        print_json({"machine": machine, "uses": uses, "arms": recipes})
        return
    for arm, part in resolved.items():
        say(f"# arm {arm}\n{part.to_toml()}")
    for key, value in machine.items():
        talk(f"{key}: {value}")
    for arm, budget in uses.items():
        talk(f"{arm}: " + " > ".join(budget))


def _machine(recipe: Recipe, home: Path) -> dict[str, Any]:
    import psutil

    existing = next(folder for folder in (home.resolve(), *home.resolve().parents) if folder.exists())
    return {
        "model": recipe.model.id,
        "device": recipe.compute.device,
        "processes": recipe.compute.processes,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().available / 1e9, 1),
        "disk_gb": round(shutil.disk_usage(existing).free / 1e9, 1),
        "home": str(home),
    }


def _budget(recipe: Recipe) -> list[str]:
    """What each stage of the only arm of ``recipe`` may spend."""
    ra3, rlvr, evaluation = recipe.ra3, recipe.rlvr, recipe.eval
    rollouts = ra3.rounds * ra3.estep.updates * ra3.estep.traces * ra3.group_size
    budgets = {
        "eval": f"eval ({', '.join(evaluation.suites)}, {evaluation.n} samples a problem)",
        "ntp": f"ntp ({count(recipe.ntp.tokens)} trained tokens)",
        "ra3": f"ra3 ({rollouts} rollouts, {count(ra3.rounds * ra3.mstep.tokens)} trained tokens in M-steps)",
        "rlvr": f"rlvr ({rlvr.updates} updates of {rlvr.problems_per_update} x {rlvr.group_size} samples)",
    }
    (arm,) = recipe.arms.values()
    return [budgets[stage] for stage in arm.stages]
