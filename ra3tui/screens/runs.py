"""Home: all runs, by launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Input, Static

from ra3tui.screens.compare import CompareScreen
from ra3tui.screens.control import pause_run, resume_run, stop_run
from ra3tui.screens.new_run import NewRunScreen
from ra3tui.screens.polling import PollingScreen
from ra3tui.screens.run import RunScreen
from ra3tui.screens.runs_feed import RunsFeed, RunSummary
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.runs_table import RunsTable

if TYPE_CHECKING:
    from engine.store.reader import Reader

EMPTY = "No runs here yet. Press n to start one, or in a shell: ra3 run quickstart"


class RunsScreen(PollingScreen[list[RunSummary]]):
    """Runs grouped by launch, live."""

    HELP = """
# Runs
Every run of this home under the launch it belongs to. `enter` on a run opens it, on a launch compares its arms.

Filter with words (`/`): all must be found in id, name, arm, status, stage, device or tags. `status:running` looks
at one of these.

**?** `lost` says it is running, but its process is gone: `r` goes on from its last checkpoint.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", show=True),
        Binding("n", "new_run", "New run"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "stop", "Stop"),
        Binding("z", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("c", "compare", "Compare"),
        Binding("escape", "clear_filter", "Show all", show=False),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._feed = RunsFeed()

    def compose(self) -> ComposeResult:
        """A title, the table, what is wrong or to do, the filter."""
        yield Static(id="title")
        yield Notice()
        yield RunsTable(id="runs")
        yield Input(placeholder="words, or status:running · enter keeps, escape shows all", id="filter", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Tell which home this is before anything was read."""
        self.query_one("#title", Static).update(self._title([]))
        self.query_one(RunsTable).focus()

    def read(self, reader: Reader) -> list[RunSummary]:
        """All runs."""
        return self._feed.poll(reader)

    def show(self, news: list[RunSummary]) -> bool:
        """Paint them."""
        table = self.query_one(RunsTable)
        table.runs = tuple(news)
        self.query_one("#title", Static).update(self._title(news), layout=False)
        notice = self.query_one(Notice)
        nothing = f"No run has {table.words!r}: escape shows all" if news else EMPTY
        notice.message = "" if table.matching else nothing
        return False

    def watch_trouble(self, trouble: str) -> None:
        """Say what is wrong with the store, and keep what was shown."""
        notice = self.query_one(Notice)
        notice.trouble = bool(trouble) and "no runs here yet" not in trouble
        if trouble:
            notice.message = trouble if notice.trouble else EMPTY

    def _title(self, runs: list[RunSummary]) -> Content:
        running = sum(run.row["status"] == "running" for run in runs)
        return Content.assemble(
            ("ra3", "bold $primary"),
            f"  {self.store.home}",
            (f"  {len(runs)} runs, {running} running", "$foreground 60%"),
        )

    def on_runs_table_opened(self, event: RunsTable.Opened) -> None:
        """Open the run, or compare the launch's arms."""
        if event.run is not None:
            self.app.push_screen(RunScreen(self.store, event.run))
        elif event.launch is not None:
            self.app.push_screen(CompareScreen(self.store, event.launch))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while a person types."""
        self.query_one(RunsTable).words = event.value
        self.look_again()

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the table."""
        self.query_one(RunsTable).focus()

    def action_open(self) -> None:
        """Open what the cursor stands on."""
        self.query_one(RunsTable).action_select_cursor()

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one("#filter").add_class("-shown").focus()

    def action_clear_filter(self) -> None:
        """Show all runs again."""
        filter_input = self.query_one("#filter", Input)
        filter_input.value = ""
        filter_input.remove_class("-shown")
        self.query_one(RunsTable).focus()

    def action_new_run(self) -> None:
        """Choose a recipe."""
        self.app.push_screen(NewRunScreen(self.store))

    def action_compare(self) -> None:
        """Compare the arms of the launch under the cursor."""
        table = self.query_one(RunsTable)
        launch = table.chosen.row["group"] if table.chosen else (table.key or "").removeprefix("launch:")
        if launch:
            self.app.push_screen(CompareScreen(self.store, launch))

    @work
    async def action_stop(self) -> None:
        """Stop the run under the cursor, after a question."""
        chosen = self.query_one(RunsTable).chosen
        if chosen:
            await stop_run(self, self.store.home, chosen.row)
            self.look_again()

    @work
    async def action_pause(self) -> None:
        """Pause the run under the cursor, or let it go on."""
        chosen = self.query_one(RunsTable).chosen
        if chosen:
            await pause_run(self, self.store.home, chosen.row)
            self.look_again()

    @work
    async def action_resume(self) -> None:
        """Go on with the run under the cursor."""
        chosen = self.query_one(RunsTable).chosen
        if chosen:
            await resume_run(self, self.store.home, chosen.row)
            self.look_again()
