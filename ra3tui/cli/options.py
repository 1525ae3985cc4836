"""Options that several commands share, and the words for what they show."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

HOME = Path("runs")
"""Where runs are kept unless ``--home`` or ``RA3_HOME`` says otherwise."""

Home = Annotated[Path, typer.Option(envvar="RA3_HOME", file_okay=False, help="Folder that runs are kept in.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Reference = Annotated[
    str, typer.Argument(metavar="REF", help="A run or a group: its id, a unique prefix of it, or @latest.")
]

_PLAIN_WIDTH = 200  # columns of a table that is not read on a terminal


def talk(message: str) -> None:
    """Tell a person something; stdout stays clean."""
    typer.echo(printable(message), err=True)


def say(text: str, *, end: str = "\n") -> None:
    """Print what a command was asked for on stdout, its control characters as TOML escapes them."""
    typer.echo("".join(c if c.isprintable() or c in "\n\t" else _toml_escape(c) for c in text) + end, nl=False)


def _toml_escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON object; numbers that JSON lacks become ``"nan"``, ``"inf"`` and ``"-inf"``."""
    typer.echo(safe_json(_finite(value), indent=2, allow_nan=False))


def safe_json(value: Any, **layout: Any) -> str:
    """``value`` as JSON: letters as they are, what is no letter in ``\\u`` escapes: the same to who reads it."""
    text = json.dumps(value, ensure_ascii=False, **layout)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)  # \n: of the layout


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def stdout() -> Console:
    """A console for data on stdout: as wide as it needs where no terminal bounds it."""
    return _console(sys.stdout, None if sys.stdout.isatty() else _PLAIN_WIDTH)


def stderr() -> Console:
    """A console for talk on stderr."""
    return _console(sys.stderr, None)


def _console(file: TextIO, width: int | None) -> Console:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class Printable(Console):
        """Escapes the control characters in all that it shows, whoever made it."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **options)  # before a table measures it

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable(segment.text))

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for the root command to end quietly, instead of rich's exit code 1

    return Printable(file=file, width=width, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """``text`` with its control characters escaped: what others wrote or named must not drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def duration(seconds: float | None) -> str:
    """A time span for a person: ``42s``, ``3m05s``, ``2h07m``, ``3d04h``."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    for size, unit, lesser, lesser_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // lesser:02d}{lesser_unit}"
    return f"{whole}s"


def age(then: float) -> str:
    """How long ago the POSIX time ``then`` was."""
    return duration(time.time() - then)


def count(number: float) -> str:
    """A large number for a person: ``812``, ``12.0k``, ``3.4M``."""
    for size, unit in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"
