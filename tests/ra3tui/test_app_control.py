"""Pausing, checkpoints and live knobs from the screen of a run."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import seeded
from driving import App, Pilot, screen_text, until
from textual.widgets import Input

from engine.recipe.files import load_recipe
from engine.store.reader import Reader
from ra3tui.screens.knobs import KnobScreen
from ra3tui.screens.run import RunScreen

WIDE = (120, 36)


def requests(home: Path) -> list[tuple[Any, ...]]:
    with closing(Reader(home)) as reader:
        return [(row["action"], row["key"], row["value"]) for row in reader.rows("SELECT * FROM controls ORDER BY id")]


def live(home: Path, status: str = "running") -> App:
    """The app on a run of this ``status``."""
    config = load_recipe("smoke", ["ra3.penalty=0.05"]).for_arm("ra3").model_dump_json()
    with seeded.create(home, "live01", status=status, config=config) as writer:
        writer.metrics({"loss": 1.0})
    return App(home, "live01")


async def opened(pilot: Pilot, shown: str) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and shown in screen_text(pilot.app))


@pytest.mark.medium
@pytest.mark.parametrize(("status", "action"), [("running", "pause"), ("paused", "unpause")])
async def test_z_pauses_a_run_and_lets_it_go_on(status: str, action: str, home: Path) -> None:
    app = live(home, status)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, status)
        await pilot.press("z")
        await until(pilot, lambda: requests(home) == [(action, None, None)])


@pytest.mark.medium
async def test_r_lets_a_paused_run_go_on_too(home: Path) -> None:
    app = live(home, "paused")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "‖ paused")
        await pilot.press("r")
        await until(pilot, lambda: requests(home) == [("unpause", None, None)])


@pytest.mark.medium
async def test_w_asks_for_a_checkpoint(home: Path) -> None:
    app = live(home)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "running")
        await pilot.press("w")
        await until(pilot, lambda: requests(home) == [("checkpoint", None, None)])


@pytest.mark.medium
@pytest.mark.parametrize(("key", "words"), [("z", "to pause"), ("w", "nothing to write"), ("t", "to tune")])
async def test_a_run_that_is_done_is_not_asked(key: str, words: str, home: Path) -> None:
    app = live(home, "done")
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, "done")
        await pilot.press(key)
        await until(pilot, lambda: words in screen_text(app))
    assert requests(home) == []


class TestKnobs:
    async def dialog(self, pilot: Pilot) -> None:
        await opened(pilot, "running")
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, KnobScreen))

    def field(self, pilot: Pilot, key: str) -> Input:
        return pilot.app.screen.query_one(f"#{key.replace('.', '-')}", Input)

    @pytest.mark.medium
    async def test_the_dialog_shows_the_live_knobs_and_asks_for_those_that_were_changed(self, home: Path) -> None:
        app = live(home)
        async with app.run_test(size=WIDE) as pilot:
            await self.dialog(pilot)
            assert self.field(pilot, "ra3.penalty").value == "0.05"
            self.field(pilot, "ra3.penalty").value = "0.2"
            await pilot.press("enter")
            await until(pilot, lambda: requests(home) == [("set", "ra3.penalty", "0.2")])

    @pytest.mark.medium
    async def test_what_cannot_be_is_told_and_asks_nothing(self, home: Path) -> None:
        app = live(home)
        async with app.run_test(size=WIDE) as pilot:
            await self.dialog(pilot)
            self.field(pilot, "ra3.penalty").value = "-1"
            await until(pilot, lambda: "greater than or equal to 0" in screen_text(app))
            await pilot.press("enter")
            assert isinstance(app.screen, KnobScreen)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert requests(home) == []
