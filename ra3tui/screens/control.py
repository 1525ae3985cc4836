"""Stopping and resuming a run from a screen: asked first, done in a thread, told when done or why not."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from engine.errors import EnvironmentFault, UsageFault
from ra3tui.screens.confirm import ConfirmScreen

RESUMABLE = ("queued", "failed", "stopped", "lost")


async def stop_run(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Ask, then request that the run's engine writes a checkpoint and ends."""
    named = f"{row['name']}/{row['arm']} {row['id']}"
    if row["status"] not in {"queued", "running"}:
        screen.notify(f"{named} is {row['status']}: there is nothing to stop", severity="warning")
        return
    question = f"Stop {named}? It ends after the step it is at, with a checkpoint, and can be resumed."
    if not await screen.app.push_screen_wait(ConfirmScreen(question, "Stop")):
        return
    from engine import runs  # noqa: PLC0415 - loads pydantic, not before it is wanted

    if await _done(screen, lambda: runs.stop(home, row["id"], getpass.getuser())):
        screen.notify(f"{named} is asked to stop after its step")


async def resume_run(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Start a detached engine that goes on from the run's last checkpoint."""
    named = f"{row['name']}/{row['arm']} {row['id']}"
    if row["status"] not in RESUMABLE:
        screen.notify(f"{named} is {row['status']}: there is nothing to resume", severity="warning")
        return
    from engine import runs  # noqa: PLC0415 - loads pydantic, not before it is wanted

    log = home / row["id"] / "log"
    if await _done(screen, lambda: runs.start_detached(home, [row["id"]], log)):
        screen.notify(f"{named} goes on in a process of its own; what it says is in {log}")


async def _done(screen: Screen[Any], deed: Callable[[], object]) -> bool:
    """Whether ``deed`` was done; a fault that a person can mend is told on the screen."""
    try:
        await asyncio.to_thread(deed)
    except (EnvironmentFault, UsageFault, OSError) as fault:
        screen.notify(str(fault), severity="error", timeout=10)
        return False
    return True
