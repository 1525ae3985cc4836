"""``ra3 reproduce``: the paper's claims at a small scale, over seeds and base models, and the page that tells of it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ra3tui.cli.exit import Exit
from ra3tui.cli.options import HOME, Home, talk

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Launch:
    """All arms on one base model under one seed."""

    model: str
    seed: int


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of a launch."""

    id: str
    done: bool


def reproduce(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides.")] = None,
    recipe: Annotated[str, typer.Option(help="The recipe whose arms are compared.")] = "reproduce",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1 … of each base model.")] = 5,
    base: Annotated[list[str] | None, typer.Option(help="A base model, several times for several.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Launches side by side, a share of the cores each.")] = 1,
    out: Annotated[Path, typer.Option(help="The page; its charts are written beside it.")] = Path("tiny.md"),
    machine: Annotated[str, typer.Option(help="What the page says of the machine.")] = "this machine",
    home: Home = HOME,
) -> None:
    """Run what is missing of every base model and seed, and write the page. Goes on where it was interrupted."""
    from engine.recipe.files import load_recipe
    from engine.runs.checks import check_launch

    changes = overrides or []
    loaded = load_recipe(recipe, changes)
    models = base or [loaded.model.id]
    wanted = [Launch(model, seed) for model in models for seed in range(seeds)]
    for model in models:
        check_launch(loaded.with_values({"model.id": model}))
    home.mkdir(parents=True, exist_ok=True)
    begun = known(home, loaded, wanted)
    missing = [launch for launch in wanted if launch not in begun or not begun[launch].done]
    talk(f"{len(wanted)} launches, {len(wanted) - len(missing)} done")
    cores = max(1, (os.cpu_count() or 1) // jobs)

    def work(launch: Launch) -> int:
        return _work(launch, _command(launch, begun.get(launch), recipe, changes, home), cores)

    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(work, missing))
    if failed := [launch for launch, code in zip(missing, codes, strict=True) if code]:
        talk("not done: " + ", ".join(f"{launch.model} seed {launch.seed}" for launch in failed) + "; run this again")
        raise typer.Exit(Exit.FAILED)
    groups = [group.id for group in known(home, loaded, wanted).values()]
    _write(home, groups, out, " ".join(["ra3 reproduce", *_told(recipe, seeds, models, changes)]), machine)


def _told(recipe: str, seeds: int, models: list[str], changes: list[str]) -> list[str]:
    bases = [f"--base {Path(model).name}" for model in models]
    return [f"--seeds {seeds}", *bases, *([] if recipe == "reproduce" else [f"--recipe {recipe}"]), *changes]


def known(home: Path, recipe: Recipe, wanted: list[Launch]) -> dict[Launch, Group]:
    """The newest group of each launch that began with the very recipe it would begin with now."""
    from engine.store.connection import database_path
    from engine.store.reader import Reader

    if not database_path(home).exists():
        return {}
    groups: dict[tuple[str, ...], Group] = {}
    with closing(Reader(home)) as reader:
        for id_ in dict.fromkeys(run["group"] for run in reversed(reader.runs())):
            runs = reader.runs(id_)
            configs = tuple(sorted(reader.run(run["id"])["config"] for run in runs))
            groups[configs] = Group(id_, all(run["status"] == "done" for run in runs))
    found = {launch: groups.get(_configs(recipe, launch)) for launch in wanted}
    return {launch: group for launch, group in found.items() if group is not None}


def _configs(recipe: Recipe, launch: Launch) -> tuple[str, ...]:
    """What the store has of a launch: the resolved recipe of each arm."""
    from engine.runs.inputs import with_absolute_paths

    own = recipe.with_values({"model.id": launch.model, "seed": launch.seed})
    return tuple(sorted(with_absolute_paths(own.for_arm(arm)).model_dump_json() for arm in own.arms))


def _command(launch: Launch, group: Group | None, recipe: str, changes: list[str], home: Path) -> list[str]:
    """What begins a launch, or goes on with it."""
    if group is not None:
        return ["run", "--resume", group.id, "--home", str(home)]
    return ["run", recipe, *changes, f"seed={launch.seed}", f"model.id={launch.model}", "--home", str(home)]


def _work(launch: Launch, command: list[str], cores: int) -> int:
    """Run a launch in a process of its own, with a share of the cores."""
    environment = os.environ | {"OMP_NUM_THREADS": str(cores)}
    talk(f"{launch.model} seed {launch.seed}: begins")
    ended = subprocess.run(
        [sys.executable, "-m", "ra3tui.cli", *command], env=environment, stdout=subprocess.DEVNULL, check=False
    )
    talk(f"{launch.model} seed {launch.seed}: " + ("done" if not ended.returncode else f"exit {ended.returncode}"))
    return ended.returncode


def _write(home: Path, groups: list[str], out: Path, command: str, machine: str) -> None:
    from engine.reports.reproduction import write_report
    from engine.reports.trials import read_trials
    from engine.store.reader import Reader

    with closing(Reader(home)) as reader:
        write_report(reader, read_trials(reader, groups), out, command, machine)
    talk(f"wrote {out}")
