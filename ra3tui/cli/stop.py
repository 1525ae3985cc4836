"""``ra3 stop``: end runs so that they can be resumed."""

from __future__ import annotations

import getpass
import os
from contextlib import closing
from typing import Annotated

import typer

from ra3tui.cli.options import HOME, Home, Reference, talk


def stop(
    reference: Reference,
    now: Annotated[bool, typer.Option("--now", help="By SIGTERM; a second one does not wait for the step.")] = False,
    home: Home = HOME,
) -> None:
    """Ask runs to write a checkpoint and end; `ra3 run --resume` goes on from it."""
    from engine.runs import named, terminate
    from engine.runs import stop as ask
    from engine.store import LIVE, Reader

    with closing(Reader(home)) as reader:
        runs = named(reader, reference)
    for run in runs:
        if run["status"] not in LIVE:
            talk(f"{run['id']} {run['arm']}: {run['status']}, nothing to stop")
            continue
        if now and terminate(run):  # a request beside it would count as the second signal, which waits for nothing
            talk(f"{run['id']} {run['arm']}: SIGTERM sent to process {run['pid']}")
            continue
        ask(home, run["id"], _user())
        talk(f"{run['id']} {run['arm']}: asked to stop")


def _user() -> str:
    """Who asks: a name, or a number where the machine knows no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
