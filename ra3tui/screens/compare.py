"""The arms of a launch against pass@k, with what each had cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from ra3tui.screens.polling import PollingScreen
from ra3tui.screens.shelf import Shelf
from ra3tui.widgets import figures
from ra3tui.widgets.interval import interval
from ra3tui.widgets.notice import Notice
from ra3tui.widgets.table import Cells, LiveTable

if TYPE_CHECKING:
    from engine.store import Reader

Row = dict[str, Any]
FIXED = {"arm": 8, "after": 12, "suite": 15, "n": 6}
COSTS = {"trained": 7, "generated": 9, "time": 6}
EMPTY = "No arm of this launch has been evaluated yet; rows come as they are"


class CompareScreen(PollingScreen[list[Row]]):
    """A row an evaluation, in the order of the arms."""

    HELP = """
# Compare
pass@k of every evaluation with its interval over problems, on a scale from 0 to 1, and what the arm had cost by
then (evaluations left out). Intervals that overlap widely are no difference.
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Back")]

    def __init__(self, shelf: Shelf, launch: str) -> None:
        super().__init__(shelf)
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
        return reader.comparison(self._launch)

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
        ks = sorted({k for row in self._rows for k in row["pass"]})
        table = self.query_one(LiveTable)
        scale = _scale(self.size.width, len(ks))
        if (columns := _columns(ks, scale)) != self._columns:
            table.set_columns(columns)
            self._columns = columns
        table.set_rows({f"{row['run']}:{i}": _cells(row, ks, scale) for i, row in enumerate(self._rows)})

    def watch_trouble(self, trouble: str) -> None:
        """Say what is wrong with the store."""
        notice = self.query_one(Notice)
        notice.trouble = bool(trouble)
        notice.message = trouble

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the arm's run."""
        run = str(event.row_key.value).split(":")[0]
        await self.run_action(f"app.show_run({run!r})")


def _scale(width: int, count: int) -> int:
    """Cells of an interval, so that the table fills ``width``."""
    widths = [*FIXED.values(), *COSTS.values(), *([6, 0] * count)]
    return max(9, min(41, (width - 2 - sum(widths) - 2 * len(widths)) // max(1, count)))


def _columns(ks: list[int], scale: int) -> dict[str, int]:
    passes: dict[str, int] = {}
    for k in ks:
        passes |= {f"pass@{k}": 6, f"0{f'@{k}':^{scale - 2}}1": scale}
    return {**FIXED, **passes, **COSTS}


def _cells(row: Row, ks: list[int], scale: int) -> Cells:
    passes = []
    for k in ks:
        found = row["pass"].get(k)
        passes.append(Text(figures.share(found["value"]) if found else figures.EMPTY, justify="right", style="bold"))
        passes.append(Text(interval(found["value"], found["low"], found["high"], scale) if found else ""))
    return (
        Text(row["arm"], style="bold"),
        Text(row["after"]),
        Text(row["suite"]),
        Text(f"{row['problems']}/{row['n']}", justify="right"),
        *passes,
        Text(figures.count(row["tokens_trained"]), justify="right"),
        Text(figures.count(row["tokens_generated"]), justify="right"),
        Text(figures.duration(row["seconds"]), justify="right"),
    )
