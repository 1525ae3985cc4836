"""``ra3 recipe``: what can be run, and what its keys mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ra3tui.cli.options import AsJson, print_json, say, stdout

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes that come with ra3."""
    from rich import box
    from rich.table import Table

    from engine.recipe.files import load_recipe, shipped

    recipes = {name: load_recipe(name) for name in shipped()}
    if as_json:
        rows = {name: {"description": r.description, "arms": list(r.arms)} for name, r in recipes.items()}
        print_json({"recipes": rows})
        return
    table = Table("recipe", "arms", "what it does", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, recipe in recipes.items():
        table.add_row(name, ", ".join(recipe.arms), recipe.description)
    stdout().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped recipe or a TOML file.")],
    full: Annotated[bool, typer.Option("--full", help="With every default filled in.")] = False,
) -> None:
    """Print a recipe as TOML: a start for one of your own."""
    from engine.recipe.files import load_recipe, shipped
    from engine.text import read_text

    recipe = load_recipe(name)
    path = shipped().get(name, Path(name))
    say(recipe.to_toml() if full else read_text(path), end="")


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A TOML file, or a shipped recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Changes to it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a recipe, every arm of it; exit code 2 says that it cannot be used."""
    from engine.recipe.files import load_recipe

    recipe = load_recipe(file, overrides or ())
    for arm in recipe.arms:
        recipe.for_arm(arm)
    if as_json:
        print_json({"valid": True, "name": recipe.name, "arms": list(recipe.arms)})
    else:
        say(f"{file}: valid, arms {', '.join(recipe.arms)}")


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes: every key with its type, bounds, default and meaning."""
    from engine.recipe.recipe import Recipe

    print_json(Recipe.model_json_schema())
