"""One run, live: charts, latents, verdicts, events."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import DataTable, Footer, TabbedContent, TabPane

from ra3tui.screens.async_reader import AsyncReader, Unreadable
from ra3tui.screens.compare import CompareScreen
from ra3tui.screens.control import pause_run, resume_run, stop_run, tune_run, write_checkpoint
from ra3tui.screens.picker import PickerScreen
from ra3tui.screens.polling import PollingScreen
from ra3tui.screens.run_feed import RunFeed, RunNews
from ra3tui.screens.sample import SampleScreen
from ra3tui.screens.trace import TraceScreen
from ra3tui.widgets.chart_grid import ChartGrid
from ra3tui.widgets.event_log import EventLog
from ra3tui.widgets.latent_panel import LatentPanel
from ra3tui.widgets.metric_table import MetricTable
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.printable import printable_row
from ra3tui.widgets.run_header import RunHeader
from ra3tui.widgets.verdict_table import VerdictTable

if TYPE_CHECKING:
    from engine.store.reader import Reader

CHARTED = ("loss", "held_out/loss", "estep/reward", "estep/think_rate", "rlvr/reward", "pass@1/*")
TABS = ("latents", "verdicts", "events", "metrics")


class RunScreen(PollingScreen[RunNews]):
    """Everything the store knows of a run, as it comes."""

    HELP = """
# A run
Under each chart stand the phases: **E** E-step, **A** annotation, **M** M-step (with their round), **N** next-token,
**R** RLVR, **◆** evaluation. The bright line is the debiased moving average over the points, whose envelope keeps every
spike; a gap is NaN. The mouse tells step and value. `e` and `l` act on the chart with the focus, or on all.

`z` pauses the run after its step and lets it go on, `w` writes a checkpoint that stays, `t` changes live knobs: the
penalty, learning rates, temperatures. What was asked, and what came of it, stands under Events.

`enter` on a latent sample explains it line by line, on a verdict shows the program and what it failed.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        *(Binding(str(i + 1), f"tab('{tab}')", tab.title(), show=False) for i, tab in enumerate(TABS)),
        Binding("s", "stop", "Stop"),
        Binding("z", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("t", "tune", "Tune"),
        Binding("w", "write", "Checkpoint"),
        Binding("c", "compare", "Compare"),
        Binding("left_square_bracket", "arm(-1)", "Previous arm", show=False),
        Binding("right_square_bracket", "arm(1)", "Arm", key_display="[ ]"),
        Binding("p", "pick", "Charts"),
        Binding("e", "smooth", "Smooth"),
        Binding("l", "log", "Log"),
    ]

    def __init__(self, store: AsyncReader, run: str) -> None:
        super().__init__(store)
        self._feed = RunFeed(run)
        self._news: RunNews | None = None
        self._picked: tuple[str, ...] | None = None
        self._charted: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """The header; charts beside or above the panels."""
        yield RunHeader()
        yield Notice()
        with Container(id="body"):
            yield ChartGrid(id="charts")
            with TabbedContent(id="panels"):
                with TabPane("Latents", id="latents"):
                    yield LatentPanel()
                with TabPane("Verdicts", id="verdicts"):
                    yield VerdictTable(id="samples")
                with TabPane("Events", id="events"):
                    yield EventLog(id="event-log")
                with TabPane("Metrics", id="metrics"):
                    yield MetricTable(id="metric-table")
        yield Footer()

    def on_mount(self) -> None:
        """The latents are what one comes for."""
        self.query_one("#traces").focus()

    def read(self, reader: Reader) -> RunNews:
        """What is new of the run."""
        return self._feed.poll(reader, self._charted)

    def show(self, news: RunNews) -> bool:
        """Paint it."""
        self._news = news
        self.query_one(RunHeader).news = news
        if news.anew:
            self._forget()
        self.query_one(LatentPanel).add(news.traces)
        self.query_one(VerdictTable).add_samples(news.samples)
        self.query_one(EventLog).add(news.events)
        return self._show_charts(news) or news.more

    def watch_trouble(self, trouble: str) -> None:
        """Say what is wrong with the store, and keep what was shown."""
        notice = self.query_one(Notice)
        notice.trouble = bool(trouble)
        notice.message = trouble

    def _show_charts(self, news: RunNews) -> bool:
        """Paint the curves; true where other metrics are charted than were read."""
        grid = self.query_one(ChartGrid)
        before, self._charted = self._charted, self._picked or _default_keys(news)
        grid.keys = self._charted
        grid.bands = news.bands
        if news.curves:
            grid.curves = self._feed.curves
        self.query_one(MetricTable).show(news.latest, self._charted)
        return self._charted != before

    def _forget(self) -> None:
        self.query_one(LatentPanel).forget()
        self.query_one(VerdictTable).forget()
        self.query_one(EventLog).clear()

    @work(exclusive=True, group="trace")
    async def on_latent_panel_chosen(self, event: LatentPanel.Chosen) -> None:
        """Read the lines of the trace under the cursor."""
        try:
            lines = await self.store.read(lambda reader: reader.trace_lines(event.trace_id))
        except Unreadable as trouble:
            self.trouble = str(trouble)
            return
        if self.display:
            self.query_one(LatentPanel).lines = tuple(printable_row(line) for line in lines)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Explain the trace, or show the sample, under the cursor."""
        key = str(event.row_key.value)
        if event.data_table.id == "traces":
            self.app.push_screen(TraceScreen(self.store, self._feed.run, int(key)))
        elif event.data_table.id == "samples":
            self.app.push_screen(SampleScreen(self.store, self._feed.run, int(key)))
        elif event.data_table.id == "metric-table":
            self._toggle_chart(key)

    def _toggle_chart(self, key: str) -> None:
        without = tuple(other for other in self._charted if other != key)
        self._pick(without if key in self._charted else (*self._charted, key))

    def action_back(self) -> None:
        """Back to where one came from."""
        self.app.pop_screen()

    def action_tab(self, tab: str) -> None:
        """Show a panel and go into it."""
        self.query_one(TabbedContent).active = tab
        focused = {"latents": "#traces", "verdicts": "#samples", "events": "#event-log", "metrics": "#metric-table"}
        self.query_one(focused[tab]).focus()

    def action_arm(self, by: int) -> None:
        """Step to another arm of the launch."""
        if self._news:
            runs = [arm["id"] for arm in self._news.arms]
            to = runs[(runs.index(self._feed.run) + by) % len(runs)]
            if to != self._feed.run:
                self.app.switch_screen(RunScreen(self.store, to))

    def action_compare(self) -> None:
        """Compare the launch's arms."""
        if self._news:
            self.app.push_screen(CompareScreen(self.store, self._news.row["group"]))

    @work
    async def action_pick(self) -> None:
        """Choose the metrics to chart."""
        known = self._news.latest if self._news else ()
        picked = await self.app.push_screen_wait(PickerScreen(known, self._charted))
        if picked:
            self._pick(picked)

    def _pick(self, keys: tuple[str, ...]) -> None:
        self._picked = keys
        self.look_again()

    def action_smooth(self) -> None:
        """Draw the moving average, or the points alone."""
        charts = self.query_one(ChartGrid).chosen()
        wanted = not (charts and charts[0].smooth)
        for chart in charts:
            chart.smooth = wanted

    def action_log(self) -> None:
        """A logarithmic y axis, or a linear one."""
        charts = self.query_one(ChartGrid).chosen()
        wanted = not (charts and charts[0].log_scale)
        for chart in charts:
            chart.log_scale = wanted

    @work
    async def action_stop(self) -> None:
        """Stop the run, after a question."""
        if self._news:
            await stop_run(self, self.store.home, self._news.row)
            self.look_again()

    @work
    async def action_pause(self) -> None:
        """Pause the run, or let it go on."""
        if self._news:
            await pause_run(self, self.store.home, self._news.row)
            self.look_again()

    @work
    async def action_tune(self) -> None:
        """Change the run's live knobs."""
        if self._news:
            await tune_run(self, self.store, self._news.row)
            self.look_again()

    @work
    async def action_write(self) -> None:
        """Write a checkpoint now."""
        if self._news:
            await write_checkpoint(self, self.store.home, self._news.row)

    @work
    async def action_resume(self) -> None:
        """Go on with the run."""
        if self._news:
            await resume_run(self, self.store.home, self._news.row)
            self.look_again()


def _default_keys(news: RunNews) -> tuple[str, ...]:
    """The metrics charted until a person picks: those of ``CHARTED`` that the run has, at least its loss."""
    keys: list[str] = []
    for pattern in CHARTED:
        keys += [key for key in news.latest if fnmatch(key, pattern)][:2]
    return tuple(keys) or ("loss",)
