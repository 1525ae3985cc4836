"""How an error becomes one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from engine.errors import EnvironmentFault, UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.interruption import Ended, interruptible
from ra3tui.cli.options import printable, talk

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Ra3Group(TyperGroup):
    """The root command: what a person can mend is told in a line, what they cannot is not hidden by it."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer exports its own name for it
        """Run the command; every end goes through here."""
        try:
            with interruptible():
                result = super().invoke(ctx)
                sys.stdout.flush()
        except KeyboardInterrupt as asked:
            raise typer.Exit(asked.exit_code if isinstance(asked, Ended) else Exit.INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has seen enough
            _discard_output()
            raise typer.Exit(Exit.DONE) from None
        except Exception as error:
            if isinstance(message := getattr(error, "message", None), str):  # typer shows its own, which quote
                error.message = printable(message)  # type: ignore[attr-defined]
            if getattr(error, "exit_code", None) is not None or isinstance(error, typer.Abort) or ctx.params["debug"]:
                raise
            raise typer.Exit(_report(error)) from None
        return result


def _report(error: Exception) -> Exit:
    """Tell ``error`` on stderr; the exit code for it."""
    code = _exit_for(error)
    if code is None:
        code = Exit.FAILED
        first = next(iter(str(error).splitlines()), "")
        talk(f"ra3: internal fault: {type(error).__name__}: {first}; --debug shows where")
    else:
        talk(f"ra3: {error}")
    return code


def _exit_for(error: Exception) -> Exit | None:
    """The exit code of a fault that a person can mend; None for a fault of ours."""
    if isinstance(error, UsageFault):
        return Exit.USAGE
    if isinstance(error, EnvironmentFault):
        return Exit.ENVIRONMENT
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Exit.ENVIRONMENT
    if "sandbox" not in sys.modules:  # what was never imported cannot have been raised
        return None
    from sandbox import SandboxUnavailable

    return Exit.SANDBOX if isinstance(error, SandboxUnavailable) else None


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not fail too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
