"""One annotated trace, explained line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Footer, Static

from ra3tui.screens.async_reader import AsyncReader, Unreadable
from ra3tui.widgets import figures, marks
from ra3tui.widgets.annotated import FULL, NARROW, annotate, gain, segments
from ra3tui.widgets.printable import printable_row

if TYPE_CHECKING:
    from engine.store.reader import Reader

Row = dict[str, Any]
FULL_FROM = 100


class TraceScreen(Screen[None]):
    """Latents above the lines they govern; log-probabilities, gain, gate, reward and advantage of each line."""

    HELP = """
# A trace
A latent (a comment in colour) governs the lines behind the bar under it.

**bare** and **with**: log-probability of the line without and with the latents before it, in nats, darker where the
line is less likely. **gain** is their difference, on a latent's own row summed over its lines. **p think**: probability
of a latent here; a dash where none may stand. **reward** is what the line earned, less the penalty of its latent;
**adv** its advantage over the other rollouts.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("j", "step(1)", "Next trace"),
        Binding("k", "step(-1)", "Previous"),
    ]
    annotated: reactive[tuple[Row, tuple[Row, ...]] | None] = reactive(None, init=False)
    """The trace and its lines."""

    def __init__(self, store: AsyncReader, run: str, trace_id: int) -> None:
        super().__init__()
        self._store = store
        self._run = run
        self._trace_id = trace_id

    def compose(self) -> ComposeResult:
        """What it is, its lines, its prompt."""
        yield Static(id="head", classes="head")
        with ScrollableContainer(id="trace"):
            yield Static(id="prompt")
            yield Static(id="lines")
        yield Footer()

    def on_mount(self) -> None:
        """Read it."""
        self.query_one("#trace").focus()
        self._load("id = ?", "id")

    @work(exclusive=True)
    async def _load(self, condition: str, order: str) -> None:
        def read(reader: Reader) -> tuple[Row, tuple[Row, ...]] | None:
            query = f"SELECT * FROM traces WHERE run = ? AND {condition} ORDER BY {order} LIMIT 1"
            traces = reader.rows(query, [self._run, self._trace_id])
            if not traces:
                return None
            lines = reader.trace_lines(traces[0]["id"])
            return printable_row(traces[0]), tuple(printable_row(line) for line in lines)

        try:
            annotated = await self._store.read(read)
        except Unreadable as trouble:
            self.notify(str(trouble), severity="error")
            return
        if not self.display:  # left meanwhile
            return
        if annotated is None:
            self.notify("no trace further on")
        else:
            self._trace_id = annotated[0]["id"]
            self.annotated = annotated

    def action_step(self, by: int) -> None:
        """Go to the run's next or previous trace."""
        self._load("id > ?" if by > 0 else "id < ?", "id" if by > 0 else "id DESC")

    def watch_annotated(self) -> None:
        """Paint another trace."""
        self._paint()
        self.query_one("#trace").scroll_home(animate=False)

    def on_resize(self) -> None:
        """Fewer figures on a narrow terminal."""
        self._paint()

    def _paint(self) -> None:
        if self.annotated is None:
            return
        trace, lines = self.annotated
        columns = FULL if self.size.width >= FULL_FROM else NARROW
        self.query_one("#head", Static).update(_head(trace, lines))
        margin = sum(column.width for column in columns) + 3
        self.query_one("#prompt", Static).update(_prompt(trace["prompt"], margin))
        self.query_one("#lines", Static).update(annotate(lines, columns))


def _head(trace: Row, lines: tuple[Row, ...]) -> Content:
    thought = [segment for segment in segments(lines) if segment.latent is not None]
    governed = [segment.stop - segment.start for segment in thought]
    mean = sum(governed) / len(governed) if governed else 0.0
    total = sum(gain(line) for line in lines)
    return Content.assemble(
        (trace["trace"], "bold"),
        (f"  {trace['source']}\n", "$foreground 60%"),
        f"{marks.phase(trace)} · step {trace['step']} · rollout {trace['rollout']} · "
        f"{len(thought)} latents over {len(lines)} lines, {figures.number(mean, 2)} lines each\n",
        f"bound {trace['bound']:.3f}, bare {trace['bare']:.3f}: ",
        (f"{figures.signed(trace['bound'] - trace['bare'], 3)} nats", "bold"),
        f" · lines gain {figures.signed(total)} before the penalty",
    )


def _prompt(prompt: str, margin: int) -> Content:
    return Content.styled("\n".join(" " * margin + row for row in prompt.splitlines()), "$foreground 60%")
