"""The dashboard ``ra3tui``: opens on the runs of a home, and follows them while engines write. Never imports torch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import HelpPanel

from ra3tui.screens.async_reader import AsyncReader, Unreadable
from ra3tui.screens.new_run import NewRunScreen
from ra3tui.screens.run import RunScreen
from ra3tui.screens.runs import RunsScreen
from ra3tui.widgets.printable import printable


class Ra3App(App[None]):
    """Runs at home; a run, a launch, a trace or a sample on top of it."""

    TITLE = "ra3"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "toggle_help", "Help", key_display="?"),
        Binding("ctrl+q", "quit", "Quit", show=False),
    ]

    def __init__(self, home: Path, run: str | None = None) -> None:
        super().__init__()
        self.store = AsyncReader(home)
        self._first_run = run

    def on_mount(self) -> None:
        """Home, and the run that was asked for on top."""
        self.push_screen(RunsScreen(self.store))
        if self._first_run:
            self._open(self._first_run)

    def notify(self, message: str, **how: Any) -> None:
        """Tell a person in passing; what is quoted in ``message`` is text, and neither markup nor an escape."""
        super().notify(printable(message), **{"markup": False, **how})

    def on_unmount(self) -> None:
        """Let go of the store."""
        self.store.close()

    @work
    async def _open(self, reference: str) -> None:
        """Open the run that ``reference`` means, or say why there is none."""
        try:
            row = await self.store.read(lambda reader: reader.run(reference))
        except Unreadable as trouble:
            self.notify(str(trouble), severity="error", timeout=10)
        else:
            self.action_show_run(row["id"])

    def action_show_run(self, run: str) -> None:
        """Show a run on top of home, whatever else was open."""
        with self.batch_update():
            while not isinstance(self.screen, RunsScreen):
                self.pop_screen()
            self.push_screen(RunScreen(self.store, run))

    def action_toggle_help(self) -> None:
        """Show what the screen is and its keys, or hide it."""
        if self.screen.query(HelpPanel):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: what Textual knows, and ours."""
        yield from super().get_system_commands(screen)
        yield SystemCommand("New run", "Choose a recipe and start it", self._new_run)
        yield SystemCommand("Latest run", "Open the run that was started last", lambda: self._open("@latest"))

    def _new_run(self) -> None:
        self.push_screen(NewRunScreen(self.store))


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the dashboard."""
    parser = argparse.ArgumentParser(prog="ra3tui", description="Watch, start, stop and compare runs of ra3.")
    parser.add_argument("run", metavar="RUN", nargs="?", help="open this run: its id, a prefix of it, or @latest")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("RA3_HOME", "runs")),
        help="where runs are kept (default: $RA3_HOME, or ./runs)",
    )
    chosen = parser.parse_args(arguments)
    if not (sys.stdout.isatty() or os.environ.get("TEXTUAL_DRIVER")):
        parser.error("the dashboard needs a terminal; `ra3 ls` prints the runs")
    Ra3App(chosen.home, chosen.run).run()


if __name__ == "__main__":
    main()
