"""Driving the app by its keys and reading its screen as a person would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot as AnyPilot

from ra3tui.app import Ra3App as App

Pilot = AnyPilot[Any]
PATIENCE = 900
__all__ = ["App", "Pilot", "screen_text", "until"]


async def until(pilot: Pilot, condition: Callable[[], bool]) -> None:
    """Let the app work until ``condition`` holds; fails with what is on the screen when it never does."""
    for _ in range(PATIENCE):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.02)  # reads of the store run in threads
    raise AssertionError(f"never came to be; on the screen:\n{screen_text(pilot.app)}")


def screen_text(app: Any) -> str:
    """The characters of the whole screen, as they stand."""
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join(strip.text.rstrip() for strip in strips)
