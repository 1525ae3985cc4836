"""What a screen may ask of a run: asked first where it ends something, done in a thread, told when done or why not."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from engine.errors import EnvironmentFault, UsageFault
from ra3tui.screens.async_reader import AsyncReader, Unreadable
from ra3tui.screens.confirm import ConfirmScreen
from ra3tui.screens.knobs import KnobScreen

RESUMABLE = ("queued", "failed", "stopped", "lost")
LIVE = ("queued", "running", "paused")


async def stop_run(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Ask, then request that the run's engine writes a checkpoint and ends."""
    if not _is_live(screen, row, "stop"):
        return
    question = f"Stop {_label(row)}? It ends after the step it is at, with a checkpoint, and can be resumed."
    if await screen.app.push_screen_wait(ConfirmScreen(question, "Stop")) and await _ask(screen, home, row, "stop"):
        screen.notify(f"{_label(row)} is asked to stop after its step")


async def pause_run(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Request that the run waits, or goes on where it does."""
    action = "unpause" if row["status"] == "paused" else "pause"
    if _is_live(screen, row, "pause") and await _ask(screen, home, row, action):
        effect = "go on" if action == "unpause" else "pause after its step; z again lets it go on"
        screen.notify(f"{_label(row)} is asked to {effect}")


async def write_checkpoint(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Request that the run writes a checkpoint now."""
    if _is_live(screen, row, "write down") and await _ask(screen, home, row, "checkpoint"):
        screen.notify(f"{_label(row)} is asked to write a checkpoint after its step; it stays")


async def tune_run(screen: Screen[Any], store: AsyncReader, row: dict[str, Any]) -> None:
    """Ask for other values of the run's live knobs, and request them."""
    if row["status"] == "done":
        screen.notify(f"{_label(row)} is done: there is nothing to tune", severity="warning")
        return
    try:
        recipe = await store.read(lambda reader: _present_recipe(reader, row["id"]))
    except Unreadable as trouble:
        screen.notify(str(trouble), severity="error", timeout=10)
        return
    changes = await screen.app.push_screen_wait(KnobScreen(recipe, _label(row)))
    for key, value in changes.items():
        if not await _ask(screen, store.home, row, "set", key, value):
            return
    if changes:
        when = "after its step" if row["status"] in LIVE else "when it is resumed"
        screen.notify(f"{', '.join(changes)} of {_label(row)} will change {when}")


async def resume_run(screen: Screen[Any], home: Path, row: dict[str, Any]) -> None:
    """Let a paused run go on, or start a detached engine that goes on from the run's last checkpoint."""
    if row["status"] == "paused":
        await pause_run(screen, home, row)
        return
    if row["status"] not in RESUMABLE:
        screen.notify(f"{_label(row)} is {row['status']}: there is nothing to resume", severity="warning")
        return
    from engine.runs import planning as runs  # noqa: PLC0415 - loads pydantic, not before it is wanted

    log = home / row["id"] / "log"
    if await _succeeds(screen, lambda: runs.start_detached(home, [row["id"]], log)):
        screen.notify(f"{_label(row)} goes on in a process of its own; what it says is in {log}")


def _label(row: dict[str, Any]) -> str:
    return f"{row['name']}/{row['arm']} {row['id']}"


def _is_live(screen: Screen[Any], row: dict[str, Any], action: str) -> bool:
    """Is there an engine to ask, now or soon? Otherwise a person is told."""
    if row["status"] not in LIVE:
        screen.notify(f"{_label(row)} is {row['status']}: there is nothing to {action}", severity="warning")
    return row["status"] in LIVE


def _present_recipe(reader: Any, run: str) -> Any:
    from engine.runs.knobs import present_recipe  # noqa: PLC0415 - loads pydantic, not before it is wanted

    return present_recipe(reader, run)


async def _ask(
    screen: Screen[Any], home: Path, row: dict[str, Any], action: str, key: str | None = None, value: Any = None
) -> bool:
    from engine.store.requests import request  # noqa: PLC0415 - loads sqlite-utils, not before it is wanted

    return await _succeeds(screen, lambda: request(home, row["id"], action, getpass.getuser(), key, value))


async def _succeeds(screen: Screen[Any], action: Callable[[], object]) -> bool:
    """Whether ``action`` was done; a fault that a person can mend is told on the screen."""
    try:
        await asyncio.to_thread(action)
    except (EnvironmentFault, UsageFault, OSError) as fault:
        screen.notify(str(fault), severity="error", timeout=10)
        return False
    return True
