"""Runs as files and processes: planning them, starting them, holding them, ending them. Imports no torch."""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from pydantic import ValidationError

from engine.errors import EnvironmentFault, UsageFault
from engine.recipe.keys import explain
from engine.recipe.recipe import Recipe
from engine.runs.inputs import with_absolute_paths
from engine.store.connection import StoreError
from engine.store.reader import LIVE, Reader
from engine.store.requests import withdraw_requests
from engine.store.writer import Writer

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is read for something else
_ID_LENGTH = 6


class RunTaken(EnvironmentFault):
    """Another engine works on this run. The message names its process and how to stop it."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that waits in the store."""

    id: str
    arm: str
    folder: Path
    """Where its recipe, checkpoints and log are kept."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of one launch, in the order in which they will work."""

    group: str
    runs: tuple[PlannedRun, ...]


def plan(
    recipe: Recipe,
    home: Path,
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    arms: Sequence[str] | None = None,
) -> Plan:
    """Write down one queued run an arm: its row in the store of ``home``, and its folder with the resolved recipe.

    Args:
        recipe: what to do.
        home: where runs are kept; made where it is missing.
        name: what listings call the group; the recipe's name by default.
        tags: words to find the runs by.
        arms: only these of the recipe's arms, in the recipe's order.

    Raises:
        UsageFault: the recipe has no such arm.
        EnvironmentFault: the folder or the store cannot be written.
    """
    chosen = choose_arms(recipe, arms)
    group = new_id()
    columns = {"group": group, "name": name or recipe.name, "tags": json.dumps(list(tags)), "seed": recipe.seed}
    runs = tuple(plan_run(recipe.for_arm(arm), arm, home, columns) for arm in chosen)
    return Plan(group, runs)


def choose_arms(recipe: Recipe, wanted: Sequence[str] | None) -> list[str]:
    """The arms of ``recipe`` that are ``wanted`` (all when None), in the recipe's order.

    Raises:
        UsageFault: the recipe has no such arm.
    """
    if wanted is None:
        return list(recipe.arms)
    for arm in wanted:
        if arm not in recipe.arms:
            near = difflib.get_close_matches(arm, recipe.arms, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise UsageFault(f"recipe {recipe.name!r} has no arm {arm!r}{hint}; it has {', '.join(recipe.arms)}")
    return [arm for arm in recipe.arms if arm in set(wanted)]


def new_id() -> str:
    """A short name for a run or a group: 30 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def plan_run(
    recipe: Recipe, arm: str, home: Path, columns: dict[str, Any], checkpoint: Path | None = None
) -> PlannedRun:
    """Write down one queued run, which goes on from ``checkpoint`` where one is given.

    The paths of ``recipe`` are taken from where this process is: the run may go on from elsewhere.

    Raises:
        UsageFault: a suite is not written as one.
        EnvironmentFault: the folder or the store cannot be written.
    """
    recipe = with_absolute_paths(recipe)
    run = new_id()
    folder = home / run
    config = recipe.model_dump_json()
    with Writer(home, run) as writer:  # first, as it makes the home or says why it cannot
        try:
            folder.mkdir()
            (folder / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
            if checkpoint:
                shutil.copytree(checkpoint, folder / "checkpoints" / checkpoint.name, copy_function=_link)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise EnvironmentFault(f"{folder}: cannot write the run's folder ({error.strerror or error})") from error
        writer.create_run(arm=arm, status="queued", folder=str(folder.resolve()), config=config, **columns)
    return PlannedRun(run, arm, folder)


def recipe_of(row: dict[str, Any]) -> Recipe:
    """The resolved recipe of the run in ``row``.

    Raises:
        UsageFault: this version cannot read it.
    """
    try:
        return Recipe.model_validate_json(row["config"])
    except ValidationError as error:
        why = "; ".join(explain(Recipe, item) for item in error.errors())
        raise UsageFault(
            f"run {row['id']}: its recipe cannot be read ({error.error_count()} validation errors: {why}); "
            "mend its recipe.toml and run that anew"
        ) from None


def _link(source: str, target: str) -> None:
    """Another name for a file of a checkpoint, which nobody changes; a copy where the disk knows no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def named(reader: Reader, reference: str) -> list[dict[str, Any]]:
    """The rows of the runs a person means: one run, or all of a group, in the order of its arms.

    ``reference`` is the id of a run or a group, a unique prefix of one, or ``@latest`` for the newest group.

    Raises:
        StoreError: nothing, or more than one thing, answers to it.
    """
    if reference == "@latest":
        return reader.runs(reader.group("@latest"))
    runs = reader.runs()
    matches = {row["id"] for row in runs if row["id"].startswith(reference)}
    matches |= {row["group"] for row in runs if row["group"].startswith(reference)}
    if reference in matches:
        matches = {reference}
    if len(matches) > 1:
        raise StoreError(f"{reference!r} could be any of {', '.join(sorted(matches))}; give more of it")
    rows = [row for row in runs if row["id"] in matches or row["group"] in matches]
    if not rows:
        raise StoreError(f"no run or group {reference!r} here; `ra3 ls` lists them")
    return rows


def unfinished(home: Path, reference: str) -> list[str]:
    """Ids of the runs named by ``reference`` that are to go on, in order; requests they never answered are withdrawn.

    Raises:
        UsageFault: all of them are done.
        StoreError: nothing answers to ``reference``.
        RunTaken: an engine works on one of them.
    """
    with closing(Reader(home)) as reader:
        runs = named(reader, reference)
    pending = [row["id"] for row in runs if row["status"] != "done"]
    if not pending:
        raise UsageFault(f"nothing to resume: {', '.join(row['id'] for row in runs)} done already")
    for run in pending:
        _make_ready(home, run)
    return pending


def _make_ready(home: Path, run: str) -> None:
    """Withdraw what was asked of an earlier engine of ``run``; RunTaken where that one still works."""
    with RunLock(home, run):
        withdraw_requests(home, run)


def start_detached(home: Path, runs: Sequence[str], log: Path, processes: int | None = None) -> int:
    """Start an engine on ``runs`` as a process of its own, which outlives this one; its pid.

    What it prints goes to the end of the file ``log``. ``processes`` share the work, by default what the recipes say.

    Raises:
        RunTaken: an engine works on one of them.
    """
    for run in runs:
        _make_ready(home, run)
    options = [] if processes is None else ["--processes", str(processes)]
    command = [sys.executable, "-m", "engine.pipeline", "--home", str(home), *options, *runs]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    for run in runs:  # so that a run still queued is seen to be lost when this process ends without a word
        with Writer(home, run) as writer:
            writer.update_run(pid=process.pid, host=os.uname().nodename)
    # A long-lived parent must reap it, or a dead engine would look alive as a zombie.
    threading.Thread(target=process.wait, name=f"reap {process.pid}", daemon=True).start()
    return process.pid


class RunLock:
    """Holds a run for one engine, by a lock that the kernel lets go of when the process ends, however it ends."""

    def __init__(self, home: Path, run: str) -> None:
        self._run = run
        self._path = home / run / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the run.

        Raises:
            RunTaken: another process has it.
            EnvironmentFault: its folder is gone, or cannot be written.
        """
        try:
            file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise _no_folder(self._run, self._path.parent, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise RunTaken(f"run {self._run} is being worked on by {holder}; `ra3 stop {self._run}` ends it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()


def _no_folder(run: str, folder: Path, error: OSError) -> EnvironmentFault:
    if folder.is_dir():
        return EnvironmentFault(f"run {run}: {folder / 'lock'} cannot be written ({error.strerror})")
    return EnvironmentFault(
        f"run {run}: its folder {folder} is gone, and its checkpoints with it; put it back, or run its recipe anew"
    )


def terminate(row: dict[str, Any]) -> bool:
    """Send SIGTERM to the engine of the run in ``row``; False where it has no process on this host."""
    if row["status"] not in LIVE or row["pid"] is None or row["host"] != os.uname().nodename:
        return False
    try:
        os.kill(row["pid"], signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True
