"""``ra3 corpus``: a recipe's expert traces, for a person or a program to comment."""

from __future__ import annotations

from typing import Annotated

import typer

from ra3tui.cli.options import safe_json, talk


def corpus(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe, or a TOML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides.")] = None,
) -> None:
    """Print a recipe's expert traces as JSONL, with the expert's own comments: what ntp.comments_path reads."""
    from engine.corpora.sources import corpus_of
    from engine.recipe.files import load_recipe

    loaded = corpus_of(load_recipe(recipe, overrides or ()))
    for trace in loaded.traces:
        record = {
            "trace": trace.id,
            "prompt": trace.prompt,
            "lines": [line.text for line in trace.lines],
            "may_think": [line.may_think for line in trace.lines],
            "comments": trace.comments or [None] * len(trace.lines),
        }
        typer.echo(safe_json(record))
    talk(f"{len(loaded.traces)} traces; left out: {loaded.account()}")
