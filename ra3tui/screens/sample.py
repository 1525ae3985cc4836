"""One sample: the program, its verdict, the test it failed and what it printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import Screen
from textual.widgets import Footer, Static

from ra3tui.screens.async_reader import AsyncReader, Unreadable
from ra3tui.widgets import figures, marks
from ra3tui.widgets.printable import printable_row

if TYPE_CHECKING:
    from engine.store.reader import Reader

Row = dict[str, Any]


class SampleScreen(Screen[None]):
    """The prompt and what the model wrote after it; `j` and `k` step to other samples of the run."""

    HELP = "# A sample\nThe problem's prompt, what the model wrote, and what the sandbox said of it."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("j", "step(1)", "Next sample"),
        Binding("k", "step(-1)", "Previous"),
    ]

    def __init__(self, store: AsyncReader, run: str, sample_id: int) -> None:
        super().__init__()
        self._store = store
        self._run = run
        self._sample_id = sample_id

    def compose(self) -> ComposeResult:
        """The verdict over the program."""
        yield Static(id="head", classes="head")
        with VerticalScroll():
            yield Static(id="program")
            yield Static(id="outcome")
        yield Footer()

    def on_mount(self) -> None:
        """Read it."""
        self.query_one(VerticalScroll).focus()
        self._load("id = ?", "id")

    def action_step(self, by: int) -> None:
        """Go to the run's next or previous sample."""
        self._load("id > ?" if by > 0 else "id < ?", "id" if by > 0 else "id DESC")

    @work(exclusive=True)
    async def _load(self, condition: str, order: str) -> None:
        def read(reader: Reader) -> Row | None:
            query = (
                "SELECT samples.*, problems.prompt FROM samples LEFT JOIN problems USING (suite, task) "
                f"WHERE run = ? AND {condition} ORDER BY {order} LIMIT 1"
            )
            return next(iter(reader.rows(query, [self._run, self._sample_id])), None)

        try:
            sample = await self._store.read(read)
        except Unreadable as trouble:
            self.notify(str(trouble), severity="error")
            return
        if not self.display:  # left meanwhile
            return
        if sample is None:
            self.notify("no sample further on")
        else:
            self._sample_id = sample["id"]
            self._paint(printable_row(sample))

    def _paint(self, sample: Row) -> None:
        self.query_one("#head", Static).update(_head(sample))
        self.query_one("#program", Static).update(_program(sample))
        self.query_one("#outcome", Static).update(_outcome(sample))
        self.query_one(VerticalScroll).scroll_home(animate=False)


def _head(sample: Row) -> Content:
    verdict = sample["verdict"]
    facts = [
        f"{sample['phase']} · step {sample['step']} · sample {sample['sample']}",
        f"{sample['tokens']} tokens, stopped by {sample['stop']}",
        f"cpu {figures.number(sample['cpu_s'], 3)} s, wall {figures.number(sample['wall_s'], 3)} s",
        f"peak {figures.number(sample['peak_mb'], 3)} MB",
        f"reward {figures.number(sample['reward'], 3)}, advantage {figures.signed(sample['advantage'])}",
        sample["backend"] or "",
    ]
    return Content.assemble(
        marks.content(verdict, marks.VERDICTS.get(verdict, marks.UNKNOWN)),
        (f"  {sample['task']}", "bold"),
        (f"  {sample['suite']}\n", "$foreground 60%"),
        " · ".join(fact for fact in facts if fact),
    )


def _program(sample: Row) -> Content:
    """The prompt, dim, and what was sampled after it."""
    prompt = (sample["prompt"] or "").rstrip("\n")
    written = highlight(sample["text"].strip("\n"), language="python")
    return Content.assemble((f"{prompt}\n" if prompt else "", "$foreground 60%"), written, "\n")


def _outcome(sample: Row) -> Content:
    """The failed test, output, errors, and tricks that were tried; only what there is."""
    parts = [
        Content.assemble((f"\n{title}\n", "bold"), sample[column].rstrip("\n"))
        for title, column in (
            *(("Failed test", "failed_test"), ("Output", "stdout"), ("Errors", "stderr")),
            ("Tricks tried", "tricks"),
        )
        if sample[column] and sample[column] != "[]"
    ]
    return Content("\n").join(parts)
