"""Where a command's data goes: stdout, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UsageFault
from ra3tui.cli.options import say, talk

Out = Annotated[Path | None, typer.Option("--out", help="A file instead of stdout.")]


def deliver(text: str, out: Path | None) -> None:
    """Print ``text``, or write it to the file ``out``.

    Raises:
        UsageFault: the file cannot be written.
    """
    if out is None:
        say(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"{out}: cannot be written ({error.strerror or error}); give another --out") from error
    talk(f"wrote {out}")
