"""The screen of a run: charts, latents, verdicts and events, while a writer goes on writing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import seeded
from driving import App, Pilot, screen_text, until
from textual.widgets import TabbedContent

from engine.store.reader import Reader
from engine.store.writer import Writer
from ra3tui.screens.picker import PickerScreen
from ra3tui.screens.run import RunScreen
from ra3tui.screens.sample import SampleScreen
from ra3tui.screens.trace import TraceScreen
from ra3tui.widgets.chart import Chart
from ra3tui.widgets.chart_grid import ChartGrid
from ra3tui.widgets.event_log import EventLog
from ra3tui.widgets.follow_table import FollowTable
from ra3tui.widgets.latent_panel import LatentPanel
from ra3tui.widgets.verdict_table import VerdictTable

WIDE = (120, 36)


async def opened(pilot: Pilot) -> RunScreen:
    """The screen of the run that the app was started with, once it has charts."""
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and bool(pilot.app.screen.query(Chart)))
    await until(pilot, lambda: chart(pilot, "loss").curve.last_step > 0)
    screen = pilot.app.screen
    assert isinstance(screen, RunScreen)
    return screen


def chart(pilot: Pilot, key: str) -> Chart:
    return next(chart for chart in pilot.app.screen.query(Chart) if chart.key == key)


@pytest.mark.medium
async def test_the_header_tells_status_progress_eta_tokens_and_arms(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        head = "\n".join(screen_text(app).splitlines()[:3])
    for shown in (
        "▶ running",
        "smollm2",
        "base  ntp  ra3",
        "62% of rlvr",
        "step 120",
        "ETA 3m20s",
        "24k tokens, 8.6k sampled",
    ):
        assert shown in head
    assert "ra3 ✓ → eval ✓ → rlvr ▶ → eval ◌" in head


@pytest.mark.medium
async def test_loss_reward_think_rate_and_pass_at_1_are_charted_to_the_last_point(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        wanted = {"loss": 120, "estep/reward": 96, "estep/think_rate": 96, "rlvr/reward": 120}
        wanted["pass@1/humaneval[:32]"] = 120
        for key, step in wanted.items():
            await until(pilot, lambda key=key, step=step: chart(pilot, key).curve.last_step == step)  # type: ignore[misc]


@pytest.mark.medium
async def test_charts_show_points_that_a_writer_goes_on_to_write(home: Path) -> None:
    stop = threading.Event()
    writer = seeded.create(home, "live01")
    with writer:
        writing = threading.Thread(target=_write_on, args=(writer, stop))
        writing.start()
        app = App(home, "live01")
        try:
            async with app.run_test(size=WIDE) as pilot:
                await opened(pilot)
                seen = chart(pilot, "loss").curve.last_step
                await until(pilot, lambda: chart(pilot, "loss").curve.last_step > seen + 100)
                curve = chart(pilot, "loss").curve
        finally:
            stop.set()
            writing.join()
    assert curve.steps.tolist() == list(range(1, len(curve) + 1))  # each point once, none left out
    assert curve.values.tolist() == [1 / step for step in curve.steps.tolist()]


def _write_on(writer: Writer, stop: threading.Event) -> None:
    step = 0
    while not stop.wait(0.001):
        step += 1
        writer.step = step
        writer.metrics({"loss": 1 / step})


@pytest.mark.medium
async def test_a_resumed_run_is_shown_from_its_checkpoint_on(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: chart(pilot, "loss").curve.last_step == 120)
        with Writer(home, "ra301") as writer:
            writer.forget_after(60, 2)
            writer.update_run(pid=1)
            await until(pilot, lambda: chart(pilot, "loss").curve.last_step == 60)
            writer.step = 61
            writer.metrics({"loss": 0.5})
            writer.flush()
            await until(pilot, lambda: chart(pilot, "loss").curve.values.tolist()[60:] == [0.5])


@pytest.mark.medium
async def test_the_newest_trace_is_shown_with_its_latents_and_their_gains(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "# nothing even: say so" in screen_text(app))
        text = screen_text(app)
    lines = [line for line in text.splitlines() if "╭" in line and "#" in line]
    assert ["+0.00" in lines[0], "+1.08" in lines[1]] == [True, True]
    assert text.index("# add up what is even") < text.index("for item in items:") < text.index("# nothing even")


@pytest.mark.medium
async def test_the_list_follows_new_traces_until_the_cursor_is_moved(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        table = app.screen.query_one("#traces", FollowTable)
        await until(pilot, lambda: table.cursor_row == 3)
        with Writer(home, "ra301") as writer:
            seeded.trace(writer)
            await until(pilot, lambda: (table.row_count, table.cursor_row) == (5, 4))
            await pilot.press("up", "up")
            seeded.trace(writer)
            await until(pilot, lambda: table.row_count == 6)
            assert table.cursor_row == 2


@pytest.mark.medium
async def test_enter_on_a_trace_explains_it_and_k_goes_to_the_one_before(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: app.screen.query_one("#traces", FollowTable).row_count == 4)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen) and "rollout 3" in screen_text(app))
        row = next(line for line in screen_text(app).splitlines() if "return total" in line)
        assert row.split()[:7] == ["7", "-2.00", "-1.52", "+0.48", "0.120", "-1.20", "+0.30"]
        await pilot.press("k")
        await until(pilot, lambda: "rollout 2" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "rollout 3" in screen_text(app))


@pytest.mark.medium
async def test_every_verdict_is_told_by_word_and_glyph(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await until(pilot, lambda: "sandbox_error" in screen_text(app))
        shown = [line.split()[-4:-2] for line in screen_text(app).splitlines() if "HumanEval/" in line]
    assert [word for _, word in shown] == list(seeded.VERDICTS)
    assert len({glyph for glyph, _ in shown}) == len(seeded.VERDICTS)


@pytest.mark.medium
async def test_enter_on_a_verdict_shows_program_failed_test_and_output(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await until(pilot, lambda: app.screen.query_one(VerdictTable).row_count == len(seeded.VERDICTS))
        await pilot.press("home", "g", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen) and "wrong_answer" in screen_text(app))
        text = screen_text(app)
    for shown in ("def even_sum", "return sum(", "assert even_sum([2, 3, 4]) == 6", "checking 3", "AssertionError"):
        assert shown in text


@pytest.mark.medium
async def test_a_burst_of_samples_shows_the_newest_and_stays_small(home: Path) -> None:
    seeded.fill(home)
    with Writer(home, "ra301") as writer:
        for i in range(2000):
            seeded.sample(writer, task=f"Burst/{i}")
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await until(pilot, lambda: "Burst/1999" in screen_text(app))
        assert app.screen.query_one(VerdictTable).row_count <= 600


@pytest.mark.medium
async def test_events_are_logged_with_their_level(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "▲ think" in screen_text(app))
        assert app.screen.query_one(TabbedContent).active == "events"
        assert app.screen.query_one(EventLog).has_focus


@pytest.mark.medium
async def test_any_metric_can_be_charted(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        await pilot.press("space", "end", "space", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await until(pilot, lambda: chart(pilot, "tokens_per_s").curve.last_step == 120)
        assert "loss" not in app.screen.query_one(ChartGrid).keys


@pytest.mark.medium
async def test_keys_switch_the_moving_average_and_the_log_axis_of_all_charts(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("e", "l")
        assert {(c.smooth, c.log_scale) for c in app.screen.query(Chart)} == {(False, True)}
        await pilot.press("e", "l")
        assert {(c.smooth, c.log_scale) for c in app.screen.query(Chart)} == {(True, False)}


@pytest.mark.medium
async def test_brackets_step_through_the_arms_of_the_launch(home: Path) -> None:
    seeded.fill(home)
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "ntp01" in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "ra301" in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "base01" in screen_text(app))


async def test_a_held_down_key_reads_only_the_last_trace() -> None:
    first, last = LatentPanel.Chosen(1), LatentPanel.Chosen(2)
    assert last.can_replace(first)


@pytest.mark.medium
async def test_the_app_only_reads(home: Path) -> None:
    seeded.fill(home)
    before = Reader(home).rows("SELECT * FROM runs") + Reader(home).rows("SELECT * FROM controls")
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("2", "3", "4", "e", "l", "c")
        await until(pilot, lambda: "0 - 35" in screen_text(app))
    assert Reader(home).rows("SELECT * FROM runs") + Reader(home).rows("SELECT * FROM controls") == before


@pytest.mark.medium
async def test_what_a_model_wrote_cannot_steer_the_terminal(home: Path) -> None:
    seeded.fill(home)
    with Writer(home, "ra301") as writer:
        seeded.sample(
            writer, task="Evil/0", verdict="runtime_error", text="x = '\x1b[2J'", stdout="\x1b]0;gone\x07\x9b1m"
        )
        writer.event("evil", "\x1b[31mred")
    app = App(home, "ra301")
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "␛[31mred" in screen_text(app))
        await pilot.press("2")
        await until(pilot, lambda: "Evil/0" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "␛]0;gone␇" in screen_text(app))
        assert "␛[2J" in screen_text(app)
        assert not set(screen_text(app)) & {"\x1b", "\x07", "\x9b"}
