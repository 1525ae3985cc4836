"""``ra3 stop``, ``pause``, ``unpause``, ``checkpoint``, ``set``: what a person may ask of runs at work."""

from __future__ import annotations

import getpass
import os
from contextlib import closing
from typing import Annotated, Any

import typer

from ra3tui.cli.options import HOME, Home, Reference, talk


def stop(
    reference: Reference,
    now: Annotated[bool, typer.Option("--now", help="By SIGTERM; a second one does not wait for the step.")] = False,
    home: Home = HOME,
) -> None:
    """Ask runs to write a checkpoint and end; `ra3 run --resume` goes on from it."""
    from engine.runs.planning import terminate
    from engine.store.requests import request

    for run in _not_ended(home, reference, "stop"):
        if now and terminate(run):  # a request beside it would count as the second signal, which waits for nothing
            talk(f"{_name(run)}: SIGTERM sent to process {run['pid']}")
            continue
        request(home, run["id"], "stop", _user())
        talk(f"{_name(run)}: asked to stop")


def pause(reference: Reference, home: Home = HOME) -> None:
    """Ask runs to wait, with a checkpoint, once their step is done; `ra3 unpause` lets them go on."""
    _ask(home, reference, "pause", "asked to pause after its step")


def unpause(reference: Reference, home: Home = HOME) -> None:
    """Let paused runs go on."""
    _ask(home, reference, "unpause", "asked to go on")


def checkpoint(reference: Reference, home: Home = HOME) -> None:
    """Ask runs to write a checkpoint once their step is done; it stays, for `ra3 run --fork`."""
    _ask(home, reference, "checkpoint", "asked to write a checkpoint after its step")


def set_knobs(
    reference: Reference,
    settings: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Live knobs: ra3.penalty=0.1 …")],
    home: Home = HOME,
) -> None:
    """Change live knobs of runs, from their next step on; a run that has ended takes them when it is resumed."""
    from engine.runs.knobs import parse_knob, present_recipe
    from engine.runs.planning import named
    from engine.store.reader import LIVE, Reader
    from engine.store.requests import request

    with closing(Reader(home)) as reader:
        runs = [run for run in named(reader, reference) if not _report_if_over(run, ("done",), "set")]
        changes = {
            run["id"]: [parse_knob(present_recipe(reader, run["id"]), item) for item in settings] for run in runs
        }
    for run in runs:
        when = "after its step" if run["status"] in LIVE else "when it is resumed"
        for key, value in changes[run["id"]]:
            request(home, run["id"], "set", _user(), key, value)
            talk(f"{_name(run)}: {key} is asked to be {value} {when}")


def _ask(home: Any, reference: str, action: str, message: str) -> None:
    from engine.store.requests import request

    for run in _not_ended(home, reference, action):
        request(home, run["id"], action, _user())
        talk(f"{_name(run)}: {message}")


def _not_ended(home: Any, reference: str, action: str) -> list[dict[str, Any]]:
    """The runs that ``reference`` means, without those that have ended, of which a person is told."""
    from engine.runs.planning import named
    from engine.store.reader import ENDED, Reader

    with closing(Reader(home)) as reader:
        return [run for run in named(reader, reference) if not _report_if_over(run, ENDED, action)]


def _report_if_over(run: dict[str, Any], over: tuple[str, ...], action: str) -> bool:
    """Is there nothing to ask of ``run``? Then a person is told."""
    if run["status"] in over:
        talk(f"{_name(run)}: {run['status']}, nothing to {action}")
    return run["status"] in over


def _name(run: dict[str, Any]) -> str:
    return f"{run['id']} {run['arm']}"


def _user() -> str:
    """Who asks: a name, or a number where the machine knows no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
