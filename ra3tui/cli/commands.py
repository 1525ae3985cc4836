"""The commands of ``ra3``, each imported when it is asked for; none imports torch or textual before it needs them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from ra3tui.cli.faults import Ra3Group
from ra3tui.cli.options import HOME, Home

COMMANDS = {
    "run": "run.run",
    "ls": "ls.ls",
    "show": "show.show",
    "tail": "tail.tail",
    "stop": "control.stop",
    "pause": "control.pause",
    "unpause": "control.unpause",
    "checkpoint": "control.checkpoint",
    "set": "control.set_knobs",
    "eval": "eval.evaluate",
    "judge": "judge.judge",
    "compare": "compare.compare",
    "export": "export.export",
    "corpus": "corpus.corpus",
    "reproduce": "reproduce.reproduce",
    "doctor": "doctor.doctor",
}
"""Name to module and function."""
GROUPS = {
    "recipe": ("recipe.app", "List, show and check recipes."),
    "suite": ("suite.app", "List, show and check suites of problems."),
    "sandbox": ("sandbox.app", "See what isolates here, build its image, run a program in it."),
}


def build_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The app with the one command that ``arguments`` name, else with all: to make the others costs half a second."""
    first = next((word for word in arguments if not word.startswith("-")), None)
    app = typer.Typer(
        cls=Ra3Group,
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: the same everywhere, and drawn in no time
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 a run failed, 2 usage, 3 environment or device, 4 sandbox, 130 interrupted.",
    )
    app.callback()(_root)
    known = first in (*COMMANDS, *GROUPS)
    for name, place in COMMANDS.items():
        if name == first or not known:
            app.command(name)(_imported(place))
    for name, (place, about) in GROUPS.items():
        if name == first or not known:
            app.add_typer(_imported(place), name=name, help=about)
    if not known:
        app.command()(tui)
    return app


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(".")
    return getattr(import_module(f"ra3tui.cli.{module}"), attribute)


def _root(
    debug: Annotated[bool, typer.Option("--debug", envvar="RA3_DEBUG", help="Show where an error came from.")] = False,
) -> None:
    """Mid-train code models by EM over latent comments, post-train them by RLVR, and see what it gains."""


def tui(
    run: Annotated[str | None, typer.Argument(help="Open this run: its id, a prefix of it, or @latest.")] = None,
    home: Home = HOME,
) -> None:
    """Open the dashboard."""
    from ra3tui.app import main as open_app

    open_app(["--home", str(home), *([run] if run else [])])
