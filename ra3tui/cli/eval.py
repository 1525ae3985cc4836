"""``ra3 eval``: pass@k of a model, as a run like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ra3tui.cli.options import HOME, AsJson, Home
from ra3tui.cli.run import Detach, Device, Name, Seed, Tags, launch, show_plan

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe


def evaluate(
    model: Annotated[str, typer.Argument(help="A Hugging Face id, a folder (such as a checkpoint), a .gguf file.")],
    suite: Annotated[list[str] | None, typer.Option(help="humaneval, humaneval[:32], mbpp:PATH.")] = None,
    n: Annotated[int | None, typer.Option(help="Samples a problem.")] = None,
    k: Annotated[list[int] | None, typer.Option(help="A k of pass@k; may be given again.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature; 0 is greedy.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Length limit of a sample.")] = None,
    name: Name = None,
    tag: Tags = None,
    seed: Seed = None,
    device: Device = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    detach: Detach = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Sample a model on suites, judge the samples, print pass@k."""
    measures = {"suites": suite, "n": n, "k": k, "temperature": temperature, "max_new_tokens": max_new_tokens}
    recipe = eval_recipe(model, measures, seed=seed, device=device)
    if dry_run:
        show_plan(recipe, home, None, as_json=as_json)
    else:
        launch(recipe, home, name=name, tags=tag or (), detach=detach, as_json=as_json)


def eval_recipe(model: str, measures: Mapping[str, object], *, seed: int | None, device: str | None) -> Recipe:
    """A recipe of one arm that only evaluates ``model``; what is None keeps the default.

    Raises:
        RecipeError: a value is out of its bounds.
    """
    import tomlkit

    from engine.recipe.files import parse_recipe

    settings = {key: value for key, value in measures.items() if value is not None}
    table: dict[str, object] = {"name": "eval", "model": {"id": model}, "eval": settings}
    table["arms"] = {"base": {"stages": ["eval"]}}
    if seed is not None:
        table["seed"] = seed
    if device is not None:
        table["compute"] = {"device": device}
    return parse_recipe(tomlkit.dumps(table), "command line")
