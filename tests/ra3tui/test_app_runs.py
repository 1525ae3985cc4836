"""The app's first screen: what it shows of a home, whatever state its store is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import seeded
from driving import App, Pilot, screen_text, until
from textual.widgets import HelpPanel

from engine.store.connection import database_path
from engine.store.reader import Reader
from ra3tui.screens.confirm import ConfirmScreen
from ra3tui.screens.run import RunScreen
from ra3tui.widgets.chart import Chart
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.runs_table import RunsTable


async def test_runs_stand_under_their_launch_with_status_loss_and_pass_at_1(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "█" in screen_text(app))
        text = screen_text(app)
    assert text.index("2/3 done") < text.index("base01") < text.index("ntp01") < text.index("ra301")
    row = next(line for line in text.splitlines() if "ra301" in line)
    for shown in ("▶ running", "rlvr", "120", "62%", "3m20s", "28.1%", "cpu", "█"):
        assert shown in row


@pytest.mark.medium
async def test_a_home_without_a_store_says_what_to_do_and_is_picked_up_when_it_appears(app: App, home: Path) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra3 run quickstart" in screen_text(app))
        seeded.fill(home)
        await until(pilot, lambda: "ra301" in screen_text(app))
        assert not app.screen.query_one(Notice).message


async def test_a_broken_store_is_told_in_one_line_and_mended_while_the_app_is_open(app: App, home: Path) -> None:
    home.mkdir()
    database_path(home).write_bytes(b"this is not a database, by any means" * 99)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "not a sound SQLite store" in screen_text(app))
        database_path(home).unlink()
        seeded.fill(home)
        await until(pilot, lambda: "ra301" in screen_text(app) and "not a sound" not in screen_text(app))


@pytest.mark.medium
async def test_a_store_that_breaks_later_leaves_what_was_shown(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        for path in home.glob("ra3.db*"):
            path.unlink()
        database_path(home).write_bytes(b"no database any more" * 99)
        await until(pilot, lambda: "not a sound SQLite store" in screen_text(app))
        assert "ra301" in screen_text(app)


async def test_a_run_whose_process_is_gone_is_shown_as_lost(app: App, home: Path) -> None:
    seeded.create(home, "gone01", status="running", pid=_dead_pid())
    async with app.run_test() as pilot:
        await until(pilot, lambda: "? lost" in screen_text(app))


@pytest.mark.medium
async def test_a_filter_shows_only_runs_with_all_its_words(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("slash", *"arm:ntp", "space", *"done")
        await until(pilot, lambda: "ra301" not in screen_text(app))
        assert "ntp01" in screen_text(app)
        assert "2/3 done" in screen_text(app)  # the launch is told as a whole
        await pilot.press("escape")
        await until(pilot, lambda: "ra301" in screen_text(app))


@pytest.mark.medium
async def test_a_filter_that_nothing_passes_says_how_to_show_all(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("slash", *"zebra")
        await until(pilot, lambda: "escape shows all" in app.screen.query_one(Notice).message)


@pytest.mark.medium
async def test_enter_opens_the_run_under_the_cursor_and_escape_comes_back(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await until(pilot, lambda: "base01" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: bool(app.screen.query(RunsTable)))


async def test_the_cursor_stays_on_its_run_when_a_newer_launch_appears_above(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("down", "down")
        assert app.screen.query_one(RunsTable).key == "ntp01"
        seeded.create(home, "newer1", group="newer", status="queued", pid=None)
        await until(pilot, lambda: "newer1" in screen_text(app))
        assert app.screen.query_one(RunsTable).key == "ntp01"


@pytest.mark.medium
async def test_stop_asks_first_and_then_writes_the_request(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("down", "down", "down", "s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: _requests(home) == [("ra301", "stop")])


@pytest.mark.medium
async def test_answering_no_stops_nothing(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("down", "down", "down", "s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
    assert _requests(home) == []


async def test_a_run_that_is_done_is_not_asked_about(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("down", "s")
        await until(pilot, lambda: "nothing to stop" in screen_text(app))
    assert _requests(home) == []


async def test_r_starts_a_detached_engine_on_a_lost_run(app: App, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded.create(home, "gone01", status="running", pid=_dead_pid())
    started: list[tuple[object, ...]] = []

    def start_detached(*call: object) -> int:
        started.append(call)
        return 1

    monkeypatch.setattr("engine.runs.planning.start_detached", start_detached)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "gone01" in screen_text(app))
        await pilot.press("down", "r")
        await until(pilot, lambda: started == [(home, ["gone01"], home / "gone01" / "log")])


async def test_c_compares_the_arms_with_intervals_and_costs(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "ntp+rlvr" in screen_text(app))
        row = next(line for line in screen_text(app).splitlines() if "ntp+rlvr" in line)
    for shown in ("26.6%", "15 - 40", "24k", "8.6k", "3m56s", "├", "●", "┤"):
        assert shown in row


@pytest.mark.medium
async def test_question_mark_shows_and_hides_the_help(app: App, home: Path) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: bool(app.screen.query(HelpPanel)))
        await pilot.press("question_mark")
        await until(pilot, lambda: not app.screen.query(HelpPanel))


@pytest.mark.medium
async def test_a_run_named_on_the_command_line_is_open_at_once(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra3")
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and bool(app.screen.query(Chart)))


async def test_an_unknown_run_on_the_command_line_is_told_on_the_list(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "zebra")
    async with app.run_test(notifications=True, size=(120, 36)) as pilot:
        await until(pilot, lambda: "no run 'zebra'" in screen_text(app))


@pytest.mark.medium
async def test_every_screen_survives_40_by_10_and_growing_again(app: App, home: Path) -> None:
    seeded.fill(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "ra301" in screen_text(app))
        for keys in ((), ("down", "down", "down", "enter"), ("enter",), ("escape", "c"), ("escape", "escape", "n")):
            await pilot.press(*keys)
            for size in ((80, 24), (40, 10), (160, 50)):
                await _resize(pilot, *size)


@pytest.mark.medium
async def test_nothing_is_lost_on_a_terminal_without_colour(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seeded.fill(home)
    app = App(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "▶ running" in screen_text(app) and "✓ done" in screen_text(app))
        await pilot.press("down", "down", "down", "enter", "2")
        await until(pilot, lambda: "✗ wrong_answer" in screen_text(app) and "E1" in screen_text(app))


async def _resize(pilot: Pilot, width: int, height: int) -> None:
    await pilot.resize_terminal(width, height)
    await until(pilot, lambda: pilot.app.screen.size == (width, height))


def _requests(home: Path) -> list[tuple[str, str]]:
    rows = Reader(home).rows("SELECT run, action FROM controls")
    return [(row["run"], row["action"]) for row in rows]


def _dead_pid() -> int:
    """The number of a process that has ended and was reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
