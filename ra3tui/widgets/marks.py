"""Statuses, verdicts and phases as word, glyph and theme colour: nothing needs the colour to be understood."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.content import Content


class Mark(NamedTuple):
    """How a word looks."""

    glyph: str
    colour: str
    """A colour of the theme, without its ``$``; empty for the text's own."""


STATUSES = {
    "queued": Mark("◌", ""),
    "running": Mark("▶", "primary"),
    "paused": Mark("‖", "warning"),
    "done": Mark("✓", "success"),
    "failed": Mark("✗", "error"),
    "stopped": Mark("■", "warning"),
    "lost": Mark("?", "error"),
}

VERDICTS = {
    "passed": Mark("✓", "success"),
    "wrong_answer": Mark("✗", "error"),
    "runtime_error": Mark("!", "error"),
    "syntax_error": Mark("§", "error"),
    "time_limit": Mark("◷", "warning"),
    "memory_limit": Mark("▣", "warning"),
    "output_limit": Mark("≡", "warning"),
    "forbidden": Mark("⊘", "accent"),
    "early_exit": Mark("↩", "accent"),
    "test_error": Mark("¿", ""),
    "sandbox_error": Mark("~", ""),
}

LEVELS = {"info": Mark("·", ""), "warning": Mark("▲", "warning"), "error": Mark("✗", "error")}

PHASES = {
    "eval": Mark("◆", "warning"),
    "ntp": Mark("N", "secondary"),
    "estep": Mark("E", "primary"),
    "annotate": Mark("A", "secondary"),
    "mstep": Mark("M", "accent"),
    "rlvr": Mark("R", "success"),
}

UNKNOWN = Mark("·", "")
ROUNDED = ("estep", "annotate", "mstep")
"""Phases that belong to an EM round."""


def phase(row: dict[str, Any]) -> str:
    """Phase and round of a row: ``estep 1``. Rounds are counted from 0 in the store, from 1 by people."""
    return f"{row['phase']} {row['round'] + 1}" if row["phase"] in ROUNDED else str(row["phase"])


def content(word: str, mark: Mark) -> Content:
    """Glyph and word, for a widget that knows theme variables."""
    return Content.styled(f"{mark.glyph} {word}", f"${mark.colour}" if mark.colour else "")


def text(word: str, mark: Mark, theme: dict[str, str]) -> Text:
    """Glyph and word, for a table's cell; ``theme`` is ``App.theme_variables``."""
    return Text(f"{mark.glyph} {word}", style=colour(mark.colour, theme), no_wrap=True)


def colour(name: str, theme: dict[str, str]) -> Style:
    """The theme's colour ``name`` as a Rich style; the text's own where it is empty."""
    return Style(color=Color.parse(theme[name]).rich_color) if name else Style()
