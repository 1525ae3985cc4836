"""``ra3 stop``: end runs so that they can be resumed."""

from __future__ import annotations

import getpass
from contextlib import closing
from typing import Annotated

import typer

from ra3tui.cli.options import HOME, Home, Reference, talk


def stop(
    reference: Reference,
    now: Annotated[bool, typer.Option("--now", help="Send SIGTERM to the engine too.")] = False,
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
        ask(home, run["id"], getpass.getuser())
        sent = now and terminate(run)
        talk(f"{run['id']} {run['arm']}: asked to stop" + (f", SIGTERM sent to process {run['pid']}" if sent else ""))
