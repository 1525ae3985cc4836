"""The commands of ``ra3``: one module a group. Nothing here imports torch or textual before it is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from ra3tui.cli import control, corpus, doctor, eval, judge, ls, recipe, run, sandbox, show, tail  # noqa: A004 - a command
from ra3tui.cli.faults import Ra3Group
from ra3tui.cli.options import HOME, Home

app = typer.Typer(
    cls=Ra3Group,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: the same everywhere, and drawn in no time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a run failed, 2 usage, 3 environment or device, 4 sandbox, 130 interrupted.",
)
app.command()(run.run)
app.command()(ls.ls)
app.command()(show.show)
app.command()(tail.tail)
app.command()(control.stop)
app.command()(control.pause)
app.command()(control.unpause)
app.command()(control.checkpoint)
app.command("set")(control.set_knobs)
app.command("eval")(eval.evaluate)
app.command()(judge.judge)
app.command()(corpus.corpus)
app.command()(doctor.doctor)
app.add_typer(recipe.app, name="recipe", help="List, show and check recipes.")
app.add_typer(sandbox.app, name="sandbox", help="See what isolates here, build its image, run a program in it.")


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", envvar="RA3_DEBUG", help="Show where an error came from.")] = False,
) -> None:
    """Mid-train code models by EM over latent comments, post-train them by RLVR, and see what it gains."""


@app.command()
def tui(
    run: Annotated[str | None, typer.Argument(help="Open this run: its id, a prefix of it, or @latest.")] = None,
    home: Home = HOME,
) -> None:
    """Open the dashboard."""
    from ra3tui.app import main as open_app

    open_app(["--home", str(home), *([run] if run else [])])
