"""Annotated traces as the engine draws them, and the code of the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import ScrollableContainer, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from ra3tui.widgets import figures, marks
from ra3tui.widgets.annotated import COMPACT, annotate
from ra3tui.widgets.follow_table import FollowTable

Row = dict[str, Any]
WIDTHS = {"step": 5, "phase": 7, "trace": 10, "gain": 6, "latents": 7}


class LatentPanel(Vertical):
    """A list of traces over one of them; posts `Chosen` for the trace whose lines it wants."""

    DEFAULT_CSS = """
    LatentPanel > #traces { height: 2fr; }
    LatentPanel > #trace { height: 3fr; border-top: solid $panel; }
    LatentPanel #code { width: auto; height: auto; }
    """

    class Chosen(Message):
        """The cursor stands on another trace. While a key is held down, the last one counts."""

        def __init__(self, trace_id: int) -> None:
            super().__init__()
            self.trace_id = trace_id

        def can_replace(self, message: Message) -> bool:
            """A later choice makes an earlier one idle."""
            return isinstance(message, LatentPanel.Chosen)

    lines: reactive[tuple[Row, ...]] = reactive(())
    """The lines of the chosen trace."""

    def compose(self) -> ComposeResult:
        """The list and the code."""
        yield FollowTable(id="traces")
        with ScrollableContainer(id="trace", can_focus=False):
            yield Static(id="code")

    def on_mount(self) -> None:
        """Lay out the list."""
        self.query_one(FollowTable).set_columns(WIDTHS)

    def on_resize(self) -> None:
        """Give the traces' names what room there is."""
        self.query_one(FollowTable).fit(WIDTHS, "trace")

    def add(self, traces: Sequence[Row]) -> None:
        """Show newer traces."""
        self.query_one(FollowTable).add({str(trace["id"]): _cells(trace) for trace in traces})

    def forget(self) -> None:
        """Drop all traces."""
        self.query_one(FollowTable).forget()
        self.lines = ()

    def watch_lines(self, lines: tuple[Row, ...]) -> None:
        """Another trace's code."""
        self.query_one("#code", Static).update(annotate(lines, COMPACT))
        self.query_one("#trace").scroll_home(animate=False)

    def on_data_table_row_highlighted(self, event: FollowTable.RowHighlighted) -> None:
        """Want its lines."""
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Chosen(int(event.row_key.value)))


def _cells(trace: Row) -> tuple[Text, ...]:
    return (
        Text(figures.count(trace["step"]), justify="right"),
        Text(marks.phase(trace)),
        Text(trace["trace"].rsplit("::", 1)[-1] or trace["source"]),
        Text(figures.signed(trace["bound"] - trace["bare"]), justify="right"),
        Text(f"{trace['latents']}/{trace['lines']}", justify="right"),
    )
