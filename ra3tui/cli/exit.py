"""How ``ra3`` ends: what a script that called it may rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    """What was asked for was done."""
    FAILED = 1
    """A run failed, or ``ra3`` itself did."""
    USAGE = 2
    """The command line, a recipe, a suite or a file of samples cannot be used."""
    ENVIRONMENT = 3
    """The machine lacks something: a model, a device, space, a sound store, or the run is taken."""
    SANDBOX = 4
    """No sandbox works here."""
    INTERRUPTED = 130
    """Ctrl-C, or another request to stop, came before the end."""
