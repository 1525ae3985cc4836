"""The command line ``ra3``. The commands are imported once a Ctrl-C meanwhile is seen to."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ra3tui.cli.interruption import leave_at_once


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of ``ra3``."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave_at_once)  # while modules load or arguments are read nothing is held yet
    _open_streams()
    if not sys.warnoptions:  # what a library will change is for us to mend, and nothing to who runs this
        warnings.simplefilter("ignore", FutureWarning)
    from ra3tui.cli.commands import build_app

    words = sys.argv[1:] if arguments is None else arguments
    build_app(words)(words, prog_name="ra3")


def _open_streams() -> None:
    """Streams that are there, where they were closed, and take every text, whatever the terminal's letters are."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def __getattr__(name: str) -> Any:
    """The typer app, for who calls commands from Python."""
    if name == "app":
        from ra3tui.cli.commands import build_app

        return build_app()
    raise AttributeError(name)


__all__ = ["app", "main"]
