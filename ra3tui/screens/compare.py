"""The arms of a launch against pass@k, with what each had cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import DataTable, Footer, Static

from ra3tui.screens.async_reader import AsyncReader
from ra3tui.screens.polling import PollingScreen
from ra3tui.widgets import figures
from ra3tui.widgets.interval import interval
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.printable import printable_row
from ra3tui.widgets.table import Cells, LiveTable

if TYPE_CHECKING:
    from engine.store.reader import Reader

Row = dict[str, Any]
COSTS = {"trained": 7, "sampled": 7, "time": 6}
NARROWEST, WIDEST = 11, 41
WIDEST_WORD = 18
EMPTY = "No arm of this launch has been evaluated yet; rows come as they are"


class CompareScreen(PollingScreen[list[Row]]):
    """A row an evaluation, in the order of the arms."""

    HELP = """
# Compare
pass@k of every evaluation with its interval over problems, in per cent and
on a scale from 0 to 1, and what the arm had cost by
then (evaluations left out). Δ is what it gained on the untrained model, in
points, with an interval over the problems both were asked: where that holds 0,
the two are not told apart.
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Back")]

    def __init__(self, store: AsyncReader, launch: str) -> None:
        super().__init__(store)
        self._launch = launch
        self._rows: list[Row] = []
        self._columns: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        """The table."""
        yield Static(f"Arms of launch {self._launch}", id="title", markup=False)
        yield Notice()
        yield LiveTable(id="arms")
        yield Footer()

    def read(self, reader: Reader) -> list[Row]:
        """All evaluations of the launch."""
        from engine.suites.comparison import compared  # noqa: PLC0415 - loads numpy, not before it is wanted

        return [printable_row(row) for row in compared(reader, self._launch)]

    def show(self, news: list[Row]) -> bool:
        """Paint them."""
        self._rows = news
        self._paint()
        self.query_one(Notice).message = "" if news else EMPTY
        return False

    def on_resize(self) -> None:
        """Longer or shorter intervals."""
        self._paint()

    def _paint(self) -> None:
        suites = sorted({f"{row['suite']}, {row['problems']} problems, {row['n']} samples each" for row in self._rows})
        self.query_one("#title", Static).update(
            Content(f"Arms of launch {self._launch} · {' · '.join(suites)}"), layout=False
        )
        ks = sorted({k for row in self._rows for k in row["pass"]})
        widths = _columns(self._rows, ks, self.size.width, several=len(suites) > 1)
        table = self.query_one(LiveTable)
        if widths != self._columns:
            table.set_columns(widths)
            self._columns = widths
        table.set_rows({f"{row['run']}:{i}": _cells(row, widths) for i, row in enumerate(self._rows)})

    def watch_trouble(self, trouble: str) -> None:
        """Say what is wrong with the store."""
        notice = self.query_one(Notice)
        notice.trouble = bool(trouble)
        notice.message = trouble

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the arm's run."""
        run = str(event.row_key.value).split(":")[0]
        await self.run_action(f"app.show_run({run!r})")


def _columns(rows: list[Row], ks: list[int], room: int, *, several: bool) -> dict[str, int]:
    """Widths by label; the intervals are drawn where there is room for it."""
    labels = ("arm", "after", "suite") if several else ("arm", "after")
    widths = {label: min(WIDEST_WORD, max([len(label), *(len(row[label]) for row in rows)])) for label in labels}
    for k in ks:
        gains = [figures.points_gained(row["pass"][k]) for row in rows if k in row["pass"]]
        widths |= {f"pass@{k}": 6, f"range@{k}": 7, f"Δ@{k}": max(4, *map(len, gains))}
    widths |= COSTS
    left = (room - 2 - sum(widths.values()) - 2 * len(widths)) // max(1, len(ks)) - 2
    drawn = {f"0{f'@{k}':^{min(left, WIDEST) - 2}}1": min(left, WIDEST) for k in ks} if left >= NARROWEST else {}
    return widths | drawn


def _cells(row: Row, widths: dict[str, int]) -> Cells:
    cells = {
        "arm": Text(row["arm"], style="bold"),
        "after": Text(row["after"]),
        "suite": Text(row["suite"]),
        "trained": Text(figures.count(row["tokens_trained"]), justify="right"),
        "sampled": Text(figures.count(row["tokens_generated"]), justify="right"),
        "time": Text(figures.duration(row["seconds"]), justify="right"),
    }
    for k, estimate in row["pass"].items():
        cells[f"pass@{k}"] = Text(figures.share(estimate["value"]), justify="right", style="bold")
        cells[f"range@{k}"] = Text(f"{100 * estimate['low']:.0f} - {100 * estimate['high']:.0f}", justify="right")
        cells[f"Δ@{k}"] = Text(figures.points_gained(estimate), justify="right")
        for label, width in widths.items():
            if f"@{k} " in label:
                cells[label] = Text(interval(estimate["value"], estimate["low"], estimate["high"], width))
    return tuple(cells.get(label, Text()) for label in widths)
