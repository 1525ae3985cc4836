"""``ra3 tail``: follow runs as they write: events, annotated traces, verdicts, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ra3tui.cli.options import HOME, Home, Reference, printable, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from engine.store.reader import Reader

_POLL_SECONDS = 0.5
_BACKLOG = 5  # rows of each kind that are shown of what was there before
_TABLES = ("events", "traces", "samples")


def tail(
    reference: Reference = "@latest",
    once: Annotated[bool, typer.Option("--once", help="Show the newest rows and end.")] = False,
    home: Home = HOME,
) -> None:
    """Follow runs until they end."""
    from engine.runs.planning import named
    from engine.store.reader import LIVE, Reader

    with closing(Reader(home)) as reader:
        console = stdout()
        follows = [Follow(reader, console, run) for run in named(reader, reference)]
        while True:
            alive = any(reader.run(follow.run["id"])["status"] in LIVE for follow in follows)
            for follow in follows:  # after the look at the statuses, so that the last rows are shown
                follow.catch_up()
            console.file.flush()
            if once or not alive:
                return
            time.sleep(_POLL_SECONDS)


class Follow:
    """What was shown of one run so far."""

    def __init__(self, reader: Reader, console: Console, run: dict[str, Any]) -> None:
        self.run = run
        self._reader = reader
        self._console = console
        self._cursors = {table: self._backlog_start(table) for table in _TABLES}
        self._metric_steps: dict[str, int] = {}

    def catch_up(self) -> None:
        """Print every row since the last time."""
        for event in self._behind("events", self._reader.events):
            self._event(event)
        for trace in self._behind("traces", self._reader.traces):
            self._trace(trace)
        for sample in self._behind("samples", self._reader.samples):
            self._sample(sample)
        self._metrics()

    def _backlog_start(self, table: str) -> int:
        """The cursor behind which only the newest rows lie."""
        query = f"SELECT id FROM {table} WHERE run = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
        rows = self._reader.rows(query, [self.run["id"], _BACKLOG])
        return int(rows[0]["id"]) if rows else 0

    def _behind(self, table: str, read: Callable[[str, int], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        while rows := read(self.run["id"], self._cursors[table]):
            self._cursors[table] = rows[-1]["id"]
            yield from rows

    def _event(self, event: dict[str, Any]) -> None:
        from ra3tui.cli.report import event_line

        self._console.print(event_line(self.run, event), soft_wrap=True)

    def _trace(self, trace: dict[str, Any]) -> None:
        gain = trace["bound"] - trace["bare"]
        self._line(
            f"step {trace['step']}  {trace['phase']} {trace['source']}: {trace['latents']} latents on {trace['lines']} "
            f"lines, bound {trace['bound']:.3f} ({gain:+.3f} on the bare trace)"
        )
        self._code(trace["text"])

    def _code(self, text: str) -> None:
        """The trace's program, its latents in it as comments, in colour on a terminal."""
        code = "\n".join("    " + line for line in printable(text).splitlines())
        if self._console.is_terminal:
            from rich.syntax import Syntax

            self._console.print(Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True))
        else:
            self._console.print(code, soft_wrap=True)

    def _sample(self, sample: dict[str, Any]) -> None:
        where = f" at {sample['failed_test']}" if sample["failed_test"] else ""
        reward = "" if sample["reward"] is None else f"  reward {sample['reward']:g}"
        self._line(f"step {sample['step']}  {sample['suite']} {sample['task']}: {sample['verdict']}{where}{reward}")

    def _metrics(self) -> None:
        """The metrics that moved on, in a line a step; those of steps between two looks are passed over."""
        moved: dict[int, list[str]] = {}
        for row in self._reader.rows("SELECT * FROM latest WHERE run = ? ORDER BY step, key", [self.run["id"]]):
            if self._metric_steps.get(row["key"]) != row["step"]:
                self._metric_steps[row["key"]] = row["step"]
                number = row["special"] or f"{row['value']:.4g}"
                moved.setdefault(row["step"], []).append(f"{row['key']} {number}")
        for step, values in moved.items():
            self._line(f"step {step}  " + "  ".join(values))

    def _line(self, text: str) -> None:
        self._console.print(f"{self.run['id']} {self.run['arm']} {text}", soft_wrap=True)
