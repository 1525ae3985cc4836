"""Who a run is and how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from ra3tui.widgets import figures, marks

if TYPE_CHECKING:
    from ra3tui.screens.run_feed import RunNews

STAGE_MARKS = {"done": "✓", "running": "▶", "failed": "✗", "stopped": "■"}


class RunHeader(Static):
    """Status, name, arms of the launch; progress, step, ETA, tokens; the stages in order."""

    DEFAULT_CSS = (
        "RunHeader { height: 3; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }"
    )
    news: reactive[RunNews | None] = reactive(None, always_update=True)
    """What was read last."""

    def watch_news(self, news: RunNews | None) -> None:
        """Paint it."""
        content = (
            Content("\n").join([_identity(news), _progress(news), _stages(news)]) if news else "reading the store …"
        )
        self.update(content, layout=False)


def _identity(news: RunNews) -> Content:
    row = news.row
    arms = [(f" {arm['arm']} ", "reverse bold" if arm["id"] == row["id"] else "$foreground 60%") for arm in news.arms]
    return Content.assemble(
        marks.content(row["status"], marks.STATUSES.get(row["status"], marks.UNKNOWN)),
        ("  " + row["name"], "bold"),
        f" {row['id']}  ",
        *arms,
        (f"  launch {row['group']}", "$foreground 60%"),
    )


def _progress(news: RunNews) -> Content:
    row = news.row
    fraction = 1.0 if row["status"] == "done" else row["progress"]
    trained = sum(stage["tokens_trained"] for stage in news.stages)
    generated = sum(stage["tokens_generated"] for stage in news.stages)
    parts = [
        f"step {row['step']}",
        f"ETA {figures.duration(row['eta_s'])}" if row["status"] == "running" else "",
        f"{figures.count(trained)} tokens, {figures.count(generated)} sampled",
    ]
    bar = figures.bar(fraction, 16)
    percent = "" if fraction is None else f" {100 * fraction:3.0f}%"
    phase = f" of {row['stage']}" if row["status"] in ("running", "paused") and row["stage"] else ""
    return Content.assemble((bar, "$primary"), f"{percent}{phase}  ", " · ".join(word for word in parts if word))


def _stages(news: RunNews) -> Content:
    """The stages in order, and why the run ended if it failed."""
    if news.row["error"]:
        return Content.styled(f"✗ {news.row['error'].splitlines()[-1]}", "$text-error")
    chain = " → ".join(f"{stage['kind']} {STAGE_MARKS.get(stage['status'], '◌')}" for stage in news.stages)
    row = news.row
    seconds = (row["ended"] or time.time()) - row["started"] if row["started"] else None
    forked = f"from {row['parent']}@{row['parent_step']}" if row["parent"] else ""
    parts = [chain or "no stage yet", forked, row["device"] or "", figures.duration(seconds) if seconds else ""]
    return Content.styled(" · ".join(word for word in parts if word), "$foreground 60%")
